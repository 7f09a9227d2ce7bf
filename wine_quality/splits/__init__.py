"""Wines in two parts, in memory or as sums, to train and test on: no Dagster, no MLflow."""
