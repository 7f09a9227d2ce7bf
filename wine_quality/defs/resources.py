"""The resources of the code location, by the names that run config knows."""

from typing import Any

from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.defs.model.hyperparameters import Hyperparameters
from wine_quality.engines.resource import TrainingEngine
from wine_quality.environments.mlflow_versions import default_version
from wine_quality.history.wine_history import WineHistory
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker, VersionKey


def resources() -> dict[str, Any]:
    """One of each, with the defaults that the environment sets.

    Raises:
        ValueError: ``$WINE_QUALITY_MLFLOW`` is not a known version.
    """
    return {
        "hyperparameters": Hyperparameters(),
        "mlflow": MlflowTracker(version=VersionKey(default_version())),
        "wine_history": WineHistory(),
        "training_engine": TrainingEngine(),
        "metrics_history": MetricsHistory(),
        "io_manager": PlainFormatIOManager(),
    }
