"""One module per command of ``python -m wine_quality``."""
