"""The sensors that send notices."""
