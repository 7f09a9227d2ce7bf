"""The sensor that closes runs which nobody else could close, of ``execution.run_closer``."""

from wine_quality.execution.run_closer import mlflow_run_closer

__all__ = ["mlflow_run_closer"]
