"""The five assets, from the raw file to the registered model."""
