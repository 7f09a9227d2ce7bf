"""The metrics history in assets: show a model's past values, and add its own.

A run is for its model: a failure of the history is logged as a warning, and the run goes on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from wine_quality.metrics_history.evaluation import Evaluation, MetricsHistoryError
from wine_quality.monitoring.shown_plots import show_plots
from wine_quality.project import MODEL
from wine_quality.tracking.registry.champion import CHAMPION

if TYPE_CHECKING:
    from dagster import DagsterLogManager

    from wine_quality.metrics_history.resource import MetricsHistory
    from wine_quality.tracking.tracker import Tracker

SHOWN = 50
"""Values in the plot, this run's included."""


def log_trend(
    tracker: Tracker,
    history: MetricsHistory,
    name: str,
    metric: str,
    value: float,
    data_sha256: str,
    warn: Callable[[str], None],
    title: str = "",
    quantity: str = "",
) -> dict[str, Any]:
    """The plot of a metric of this run's model and those before; nothing without a history.

    Args:
        name: Of the registered model.
        value: Of this run's.
        title: The metric in the plot's title; empty: its name.
        quantity: At the axis; empty: the metric's name.
    """
    title = title or metric
    if not history.is_kept:
        return {}
    from wine_quality.models import small_plots
    from wine_quality.models.trend import TrendPoint, metric_trend

    run_id = tracker.require_run_id()
    try:
        past = history.newest(name, metric, SHOWN)
    except MetricsHistoryError as error:
        warn(f"There is no plot of the {title} over time. {error}")
        return {}
    registry = tracker.registry(name)
    holder = registry.holder(CHAMPION)
    champion = registry.version(holder) if holder else None
    points = [
        TrendPoint(
            label=f"v{before.model_version}",
            time=before.time,
            value=before.value,
            series=f"MLflow {before.mlflow_version}",
            data=before.data_sha256,
            # By the run: the numbers of another server's versions may be the same.
            champion=champion is not None and champion.run_id == before.run_id,
        )
        for before in past
        if before.run_id != run_id  # a retry; it is shown as this run
    ]
    mine = TrendPoint(
        label="this run",
        time=tracker.run_started(),
        value=value,
        series=f"MLflow {tracker.client_version}",
        data=data_sha256,
        champion=champion is not None and champion.run_id == run_id,
    )
    points = [*points[-SHOWN + 1 :], mine]
    figure = metric_trend(points, f"{title} of {name} over time", quantity or metric)
    small = small_plots.line(
        [point.value for point in points],
        f"{metric} of {points[0].label}",
        mine.label,
        dots=[n for n, point in enumerate(points) if point.champion or point is mine],
    )
    trend = f"{metric}_trend"
    return show_plots(tracker, {trend: (figure, small)}, together=f"{trend}_plot")


def keep(
    tracker: Tracker,
    history: MetricsHistory,
    name: str,
    version: str,
    metrics: Mapping[str, float],
    data_sha256: str,
    log: DagsterLogManager,
) -> dict[str, Any]:
    """Add a registered version's metrics to the history, once however often a run is retried.

    Returns:
        Metadata with the place of the history, or the reason why the metrics are not in it.
    """
    if not history.is_kept:
        return {}
    evaluation = Evaluation(
        time=tracker.run_started(),
        model_name=name,
        model_version=version,
        mlflow_version=tracker.client_version,
        run_id=tracker.require_run_id(),
        data_sha256=data_sha256,
        metrics=metrics,
    )
    try:
        history.write([evaluation], log.info)
    except MetricsHistoryError as error:
        of_model = "" if name == MODEL else f' ARGS="--model {name}"'
        text = (
            f"{name} version {version} is registered, but its metrics are not in the history. "
            f"{error} When it can be used again, write what is missing: make metrics DO=backfill "
            f"MLFLOW={tracker.settings.version}{of_model}"
        )
        log.warning(text)
        return {"metrics_history": text}
    return {"metrics_history": history.database_name}
