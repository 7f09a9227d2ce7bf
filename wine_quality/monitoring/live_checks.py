"""Asset checks that compare what is asked and answered with the training of the model."""

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    DagsterRun,
    asset_check,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.metrics_history.evaluation import MetricsHistoryError
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.monitoring.live_results import (
    bins_table,
    columns_table,
    compared,
    periods_table,
)
from wine_quality.monitoring.served import NothingToCompareError, Served, find_served
from wine_quality.tracking.resource import MlflowTracker

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker


class LiveCheckConfig(CheckedConfig):
    """The predictions to compare, and limits of the difference."""

    hours: float = Field(
        default=24.0, gt=0, le=24 * 366, description="Predictions of so many hours are compared."
    )
    threshold: float = Field(
        default=0.25,
        gt=0,
        description="Population stability index above which the check warns: below 0.1 is usually "
        "read as stable, above 0.25 as shifted.",
    )
    minimum_rows: int = Field(
        default=200,
        ge=1,
        description="With fewer predictions nothing is compared: too few to tell shift from "
        "chance.",
    )


def live_checks(
    asset: str,
    columns: Sequence[str],
    model_of: Callable[[DagsterRun, MlflowTracker, Any], str],
    config_class: type[LiveCheckConfig] = LiveCheckConfig,
) -> tuple[AssetChecksDefinition, AssetChecksDefinition]:
    """The checks ``live_predictions_like_training`` and ``live_inputs_like_training`` of an asset.

    Args:
        columns: Inputs of the model.
        model_of: Name of the registered model, of the run, the resource and the check's config.
    """

    @asset_check(
        asset=asset,
        description="Compares the served version's predictions of the last hours with those for "
        "its training data, by population stability index.",
    )
    def live_predictions_like_training(
        context: AssetCheckExecutionContext,
        config: config_class,  # type: ignore[valid-type]
        mlflow: MlflowTracker,
        metrics_history: MetricsHistory,
    ) -> AssetCheckResult:
        return _result(
            lambda served: _compare_predictions(config, served, metrics_history),
            *(config, mlflow.tracker, model_of(context.run, mlflow, config), metrics_history),
        )

    @asset_check(
        asset=asset,
        description="Compares each input column of the last hours with the training data, by "
        "population stability index. Needs logged inputs (WINE_QUALITY_SERVE_LOG_INPUTS=true).",
    )
    def live_inputs_like_training(
        context: AssetCheckExecutionContext,
        config: config_class,  # type: ignore[valid-type]
        mlflow: MlflowTracker,
        metrics_history: MetricsHistory,
    ) -> AssetCheckResult:
        return _result(
            lambda served: _compare_inputs(config, served, metrics_history, columns),
            *(config, mlflow.tracker, model_of(context.run, mlflow, config), metrics_history),
        )

    return live_predictions_like_training, live_inputs_like_training


def _result(
    compare: Callable[[Served], AssetCheckResult],
    config: LiveCheckConfig,
    tracker: "Tracker",
    name: str,
    history: MetricsHistory,
) -> AssetCheckResult:
    """The result of the comparison, or the reason why nothing was compared. Passes where there is
    nothing to compare; fails where the metrics history cannot be read."""
    try:
        return compare(find_served(tracker, name, history, config.hours))
    except NothingToCompareError as nothing:
        passed, text = True, str(nothing)
    except MetricsHistoryError as error:
        passed, text = False, str(error)
    return AssetCheckResult(passed=passed, severity=AssetCheckSeverity.WARN, description=text)


def _compare_predictions(
    config: LiveCheckConfig, served: Served, history: MetricsHistory
) -> AssetCheckResult:
    import numpy as np

    from wine_quality.metrics_history.predictions import over_time, predicted
    from wine_quality.models.compare import shift_of

    rows = served.version.rows
    reference = served.record.get("predictions")
    if reference is None:
        raise NothingToCompareError(
            f"{served.title} is from before predictions for the training data were recorded. The "
            "next version can be compared."
        )
    _require_rows(rows, config, f"prediction(s) by {served.title}")
    values = predicted(history.database, served.name, served.version, served.since)
    shift = shift_of(np.asarray(values, dtype=float), reference)
    span = timedelta(hours=config.hours)
    periods = over_time(history.database, served.name, served.version, span)
    more = {"over_time": periods_table(periods)}
    table = bins_table(shift)
    return compared(served, {"predictions": shift}, rows, config.threshold, table, more)


def _compare_inputs(
    config: LiveCheckConfig, served: Served, history: MetricsHistory, columns: Sequence[str]
) -> AssetCheckResult:
    import numpy as np

    from wine_quality.metrics_history.predictions import inputs
    from wine_quality.models.compare import shift_of

    rows, profile = served.version.with_inputs, served.record["profile"]
    if not rows:
        raise NothingToCompareError(
            f"The inputs of {served.title} are not logged; its server logs them with "
            "WINE_QUALITY_SERVE_LOG_INPUTS=true."
        )
    _require_rows(rows, config, f"logged input(s) of {served.title}")
    sent = inputs(history.database, served.name, served.version, served.since)
    shifts = {}
    for name in columns:  # the profile has the target too, which nobody sends
        values = [row[name] for row in sent if row.get(name) is not None]
        if values and name in profile:
            shifts[name] = shift_of(np.asarray(values, dtype=float), profile[name])
    if not shifts:
        raise NothingToCompareError(
            f"The logged inputs of {served.title} have none of the columns it was trained on."
        )
    return compared(served, shifts, rows, config.threshold, columns_table(shifts))


def _require_rows(rows: int, config: LiveCheckConfig, what: str) -> None:
    if rows < config.minimum_rows:
        raise NothingToCompareError(
            f"{rows} {what} in the last {config.hours:g} hours are too few to compare; "
            f"{config.minimum_rows} are needed."
        )
