"""Metrics, comparisons, drift and plots of a model. Imports neither Dagster nor MLflow."""
