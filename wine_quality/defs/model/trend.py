"""The metrics history in assets: show a model's past values, and add its own.

A run is for its model: a failure of the history is logged as a warning, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wine_quality.defs.model.training_steps import show_plots
from wine_quality.defs.model.values import TrainedModel
from wine_quality.metrics_history.evaluation import Evaluation, MetricsHistoryError
from wine_quality.tracking.registry.champion import CHAMPION

if TYPE_CHECKING:
    from dagster import DagsterLogManager

    from wine_quality.metrics_history.resource import MetricsHistory
    from wine_quality.tracking.resource import MlflowTracker

METRIC = "rmse"
SHOWN = 50
"""Values in the plot, this run's included."""


def log_trend(
    mlflow: MlflowTracker,
    history: MetricsHistory,
    model: TrainedModel,
    metrics: Mapping[str, float],
    warn: Callable[[str], None],
) -> dict[str, Any]:
    """The plot of the RMSE of this run's model and those before; nothing without a history.

    Args:
        model: What ``elasticnet_model`` hands on.
    """
    if not history.is_kept:
        return {}
    from wine_quality.models import small_plots
    from wine_quality.models.trend import TrendPoint, metric_trend

    tracker, name = mlflow.tracker, mlflow.registered_model_name
    run_id = tracker.require_run_id()
    try:
        past = history.newest(name, METRIC, SHOWN)
    except MetricsHistoryError as error:
        warn(f"There is no plot of the RMSE over time. {error}")
        return {}
    registry = tracker.registry(name)
    holder = registry.holder(CHAMPION)
    champion = registry.version(holder) if holder else None
    points = [
        TrendPoint(
            label=f"v{value.model_version}",
            time=value.time,
            value=value.value,
            series=f"MLflow {value.mlflow_version}",
            data=value.data_sha256,
            # By the run: the numbers of another server's versions may be the same.
            champion=champion is not None and champion.run_id == value.run_id,
        )
        for value in past
        if value.run_id != run_id  # a retry; it is shown as this run
    ]
    mine = TrendPoint(
        label="this run",
        time=tracker.run_started(),
        value=metrics[METRIC],
        series=f"MLflow {tracker.client_version}",
        data=model.data.data_sha256 or "",
        champion=champion is not None and champion.run_id == run_id,
    )
    points = [*points[-SHOWN + 1 :], mine]
    figure = metric_trend(points, f"RMSE of {name} over time", "RMSE (score)")
    small = small_plots.line(
        [point.value for point in points],
        f"{METRIC} of {points[0].label}",
        mine.label,
        dots=[n for n, point in enumerate(points) if point.champion or point is mine],
    )
    trend = f"{METRIC}_trend"
    return show_plots(tracker, {trend: (figure, small)}, together=f"{trend}_plot")


def keep(
    mlflow: MlflowTracker,
    history: MetricsHistory,
    model: TrainedModel,
    metrics: Mapping[str, float],
    version: str,
    log: DagsterLogManager,
) -> dict[str, Any]:
    """Add a registered version's metrics to the history, once however often a run is retried.

    Returns:
        Metadata with the place of the history, or the reason why the metrics are not in it.
    """
    if not history.is_kept:
        return {}
    tracker, name = mlflow.tracker, mlflow.registered_model_name
    evaluation = Evaluation(
        time=tracker.run_started(),
        model_name=name,
        model_version=version,
        mlflow_version=tracker.client_version,
        run_id=tracker.require_run_id(),
        data_sha256=model.data.data_sha256 or "",
        metrics=metrics,
    )
    try:
        history.write([evaluation], log.info)
    except MetricsHistoryError as error:
        text = (
            f"{name} version {version} is registered, but its metrics are not in the history. "
            f"{error} When it can be used again, write what is missing: make metrics DO=backfill "
            f"MLFLOW={mlflow.version.value}"
        )
        log.warning(text)
        return {"metrics_history": text}
    return {"metrics_history": history.database_name}
