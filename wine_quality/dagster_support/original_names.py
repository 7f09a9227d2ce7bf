"""Names of the platform example that the project began as, for run config that was made for it."""

from collections.abc import Mapping

ORIGINAL_NAMES: Mapping[str, str] = {
    "read_wine_quality_csv": "it is called raw_wine_csv here",
    "start_mlflow_run": "the resource mlflow starts and ends the MLflow run by itself; see "
    "resources.mlflow.config",
    "end_mlflow_run": "the resource mlflow starts and ends the MLflow run by itself",
    "mlflow_tracking_uri": "it is called tracking_uri here",
}
