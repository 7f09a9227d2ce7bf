"""One Python environment per MLflow version, and the executor that picks among them."""
