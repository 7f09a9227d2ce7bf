"""The check ``live_error`` of ``batch_predictions``: how far off, once the labels have arrived."""

import enum
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetCheckSeverity,
    AssetKey,
    AssetRecordsFilter,
    AssetSelection,
    MetadataValue,
    TableRecord,
    asset_check,
    define_asset_job,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.datasets.contract import TARGET
from wine_quality.engines.resource import TrainingEngine
from wine_quality.tracking.resource import MlflowTracker

if TYPE_CHECKING:
    from wine_quality.scoring.inputs import Inputs
    from wine_quality.scoring.live_error import PeriodResult

ASSET = "batch_predictions"
CHECK = "live_error"
_FIELD = f"ops.{ASSET}_{CHECK}.config"
_MOST_FILES = 1000


class Period(enum.Enum):
    """For how long errors are put together."""

    day = "day"
    week = "week"
    month = "month"


class LiveErrorConfig(CheckedConfig):
    """The labels, their predictions, and the limit of the error."""

    labels: str = Field(
        default="",
        description="Labels that have arrived: a Parquet or CSV file, a folder, pattern or "
        "s3:// prefix of such, or one https:// file; with the key of the predictions, or in the "
        "order of the rows that were scored.",
    )
    label: str = Field(default=TARGET, description="Column of the labels that holds them.")
    predictions: str = Field(
        default="",
        description="Files that batch_predictions wrote: one, a folder, or a pattern. Empty: with "
        "a key all that its last 1000 materializations wrote, of those that are still there; "
        "without one the latest.",
    )
    period: Period = Field(
        default=Period.day, description="Errors of each day, week or month, by when predicted."
    )
    tolerance: float = Field(
        default=0.1,
        ge=0,
        description="The check fails when the error of the newest period is so much higher, as a "
        "share, than the RMSE that the version had on its test rows.",
    )
    minimum_rows: int = Field(
        default=100, ge=1, description="With fewer labels in a period nothing is concluded."
    )


@asset_check(
    asset=ASSET,
    name=CHECK,
    description="The error of batch predictions by period, by the labels that have arrived since, "
    "against the RMSE that the version had on its test rows.",
)
def live_error(
    context: AssetCheckExecutionContext,
    config: LiveErrorConfig,
    mlflow: MlflowTracker,
    training_engine: TrainingEngine,
) -> AssetCheckResult:
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.scoring.live_error import LabelsError

    if not config.labels:
        return _concluded(True, f"No labels have arrived: {_FIELD}.labels is empty.")
    try:
        files, found = _errors(context, config, training_engine)
    except (UnreadableFileError, LabelsError) as error:
        return _concluded(False, str(error))
    if not found:
        return _concluded(True, "None of the predictions has a label yet.")
    shown = {
        "errors": MetadataValue.table([TableRecord(_record(one)) for one in found]),
        "prediction_files": len(files),
        "rows": sum(one.rows for one in found),
    }
    newest = [one for one in found if one.begins == found[-1].begins]
    counted = [one for one in newest if one.rows >= config.minimum_rows]
    if not counted:
        few = f"{sum(one.rows for one in newest)} labels since {found[-1].begins}"
        return _concluded(True, f"{few} are too few; {config.minimum_rows} are needed.", shown)
    return _judged(mlflow, config, counted, shown)


def _errors(
    context: AssetCheckExecutionContext, config: LiveErrorConfig, engine: TrainingEngine
) -> "tuple[list[str], list[PeriodResult]]":
    from wine_quality.scoring.inputs import Inputs
    from wine_quality.scoring.live_error import live_errors, require_label_for_each
    from wine_quality.scoring.sources import find_source

    with tempfile.TemporaryDirectory() as folder:
        given = find_source(config.labels, Path(folder), f"{_FIELD}.labels")
        labels = Inputs([given.pattern], engine.threads, engine.memory_limit, given.shown)
        patterns = [config.predictions] if config.predictions else _latest_files(context)
        predictions = Inputs(patterns, engine.threads, engine.memory_limit)
        try:
            described = _described(predictions)
            keys = described[0]["key"]
            if not keys:
                # Rows are known by their number, which is one file's own.
                predictions.files, described = predictions.files[:1], described[:1]
                require_label_for_each(labels, config.label, described[0]["rows_read"])
            else:
                alike = [one["key"] == keys for one in described]
                predictions.files = [
                    file for file, fits in zip(predictions.files, alike, strict=True) if fits
                ]
            found = live_errors(predictions, labels, config.label, keys, config.period.value)
            return [file.path for file in predictions.files], found
        finally:
            labels.close()
            predictions.close()


def _latest_files(context: AssetCheckExecutionContext) -> list[str]:
    """The newest first; those that are gone are left out.

    Raises:
        UnreadableFileError: there is none.
    """
    from upath import UPath

    from wine_quality.defs.io_manager import s3_options
    from wine_quality.engines.batches import UnreadableFileError

    found = context.instance.fetch_materializations(
        AssetRecordsFilter(AssetKey(ASSET)), limit=_MOST_FILES
    )
    paths = []
    for record in found.records:
        made = record.asset_materialization
        path = str(made.metadata["file"].value) if made and "file" in made.metadata else ""
        options: dict[str, Any] = s3_options() if path.startswith("s3://") else {}
        if path and UPath(path, **options).exists():
            paths.append(path)
    if not paths:
        raise UnreadableFileError(
            f"{ASSET} has no file of predictions. Materialize it (`make predict`), or name one in "
            f"{_FIELD}.predictions."
        )
    return list(dict.fromkeys(paths))


def _described(predictions: "Inputs") -> list[dict[str, Any]]:
    from wine_quality.engines.batches import UnreadableFileError

    found = [predictions.description_of(file) for file in predictions.files]
    for file, one in zip(predictions.files, found, strict=True):
        if not {"key", "rows_read"} <= set(one):
            raise UnreadableFileError(f"{file.name} is not a file that {ASSET} has written.")
    return found


def _judged(
    mlflow: MlflowTracker,
    config: LiveErrorConfig,
    newest: "Sequence[PeriodResult]",
    shown: dict[str, Any],
) -> AssetCheckResult:
    """The newest period against what each version had on its test rows."""
    messages, passed = [], True
    for one in newest:
        known = _rmse_at_training(mlflow, one.version)
        text = f"version {one.version}: RMSE {one.rmse:.4f} on {one.rows} rows"
        if known is None:
            messages.append(f"{text}, and nothing is known of its test rows")
            continue
        limit = known * (1 + config.tolerance)
        passed = passed and one.rmse <= limit
        messages.append(f"{text}; {known:.4f} on its test rows, up to {limit:.4f} is tolerated")
    return _concluded(passed, f"Since {newest[0].begins}: {'; '.join(messages)}.", shown)


def _rmse_at_training(mlflow: MlflowTracker, version: str) -> float | None:
    found = mlflow.tracker.registry(mlflow.registered_model_name).version(version)
    if found is None or not found.run_id:
        return None
    return mlflow.tracker.logged_metrics(found.run_id).get("rmse")


def _concluded(passed: bool, text: str, shown: dict[str, Any] | None = None) -> AssetCheckResult:
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        description=text,
        metadata=shown or {},
    )


def _record(one: "PeriodResult") -> dict[str, Any]:
    return {
        "since": one.begins.isoformat(),
        "version": one.version,
        "rows": one.rows,
        "rmse": one.rmse,
        "mae": one.mae,
    }


wine_quality_live_error = define_asset_job(
    "wine_quality_live_error",
    selection=AssetSelection.checks(live_error),
    description="Joins labels that have arrived to batch predictions, and reports the error by "
    "period.",
)
