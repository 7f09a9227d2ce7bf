"""The metrics history in the assets: the RMSE over time, and this model's metrics in it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wine_quality.monitoring import trend

if TYPE_CHECKING:
    from dagster import DagsterLogManager

    from wine_quality.defs.model.values import TrainedModel
    from wine_quality.metrics_history.resource import MetricsHistory
    from wine_quality.tracking.resource import MlflowTracker


def log_trend(
    mlflow: MlflowTracker,
    history: MetricsHistory,
    model: TrainedModel,
    metrics: Mapping[str, float],
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """See ``monitoring.trend``. ``model`` is what ``elasticnet_model`` hands on."""
    return trend.log_trend(
        *(mlflow.tracker, history, mlflow.registered_model_name, "rmse", metrics["rmse"]),
        *(model.data.data_sha256 or "", warn, "RMSE", "RMSE (score)"),
    )


def keep(
    mlflow: MlflowTracker,
    history: MetricsHistory,
    model: TrainedModel,
    metrics: Mapping[str, float],
    version: str,
    log: DagsterLogManager,
) -> dict[str, Any]:
    """See ``monitoring.trend``."""
    name, data = mlflow.registered_model_name, model.data.data_sha256 or ""
    return trend.keep(mlflow.tracker, history, name, version, metrics, data, log)
