"""What of a model is deployed, and how. No Dagster, no MLflow."""
