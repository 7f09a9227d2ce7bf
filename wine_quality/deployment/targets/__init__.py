"""One module per deploy target."""
