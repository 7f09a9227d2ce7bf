"""Pure computation: no Dagster, no MLflow."""
