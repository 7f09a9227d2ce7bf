"""The life of an MLflow run: opened, tagged, resumed, closed."""
