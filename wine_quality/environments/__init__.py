"""One Python environment per MLflow version, and the executor that runs a plan in the one picked."""
