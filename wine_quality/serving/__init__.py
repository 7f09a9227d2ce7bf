"""The model as a server."""
