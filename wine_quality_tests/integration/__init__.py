"""Tests on real servers: MLflow of each version, Dagster, PostgreSQL, model servers."""
