"""What is computed of a model: metrics, comparisons, drift and plots. No Dagster, no MLflow."""
