"""MLflow for anybody's Dagster project: the public API. Stable; the rest of the package may change.

Imports ``tracking``, ``execution`` and ``environments``, and nothing of the wines: no asset, data
set or model family.
"""

from wine_quality.tracking.registry.contest import Metric
from wine_quality.tracking_api.io_manager import PlainIOManager
from wine_quality.tracking_api.project import SKLEARN_TREES, MlflowTracking
from wine_quality.tracking_api.run import TrackedRun
from wine_quality.tracking_api.values import (
    ChampionDecision,
    LoggedMetrics,
    RegisteredVersion,
    TrackedModel,
)

__all__ = [
    "SKLEARN_TREES",
    "ChampionDecision",
    "LoggedMetrics",
    "Metric",
    "MlflowTracking",
    "PlainIOManager",
    "RegisteredVersion",
    "TrackedModel",
    "TrackedRun",
]
