"""One streaming pass over any number of wines, on several engines: no Dagster, no MLflow."""
