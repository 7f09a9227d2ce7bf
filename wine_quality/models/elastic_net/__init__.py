"""The elastic net, fitted on rows or on sums of rows. Neither Dagster nor MLflow."""
