"""A wine-quality model as Dagster assets, tracked by the MLflow version its run config names."""

__version__ = "0.5.2"
