"""One module per MLflow API: ``dagster_mlflow`` for 1.26, explicit runs for 2 and 3."""
