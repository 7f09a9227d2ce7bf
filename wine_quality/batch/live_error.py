"""The check ``live_error`` of an asset of batch predictions: how far off, once the labels have
arrived."""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckExecutionContext,
    AssetCheckResult,
    AssetChecksDefinition,
    AssetCheckSeverity,
    AssetKey,
    AssetRecordsFilter,
    DagsterRun,
    MetadataValue,
    TableRecord,
    asset_check,
)
from pydantic import Field, create_model

from wine_quality.batch.config import LiveErrorConfig
from wine_quality.engines.resource import TrainingEngine
from wine_quality.tracking.resource import MlflowTracker

if TYPE_CHECKING:
    from wine_quality.scoring.inputs import Inputs
    from wine_quality.scoring.live_error import PeriodResult

CHECK = "live_error"
SEGMENT = "segment"
"""In the check's metadata, of a model with segments: whose error it is."""
_MOST_FILES = 1000


@dataclass(frozen=True)
class ErrorKind:
    """The error by which a period is judged, of one kind of model.

    Attributes:
        title: For people.
        shown: Names of the figures in the table of periods.
        of: The figures of a period, in that order; the first is the error, less is better.
        known: The same error on the test rows, of the metrics that training logged; None: unknown.
    """

    title: str
    shown: tuple[str, ...]
    of: "Callable[[PeriodResult], tuple[float, ...]]"
    known: Callable[[Mapping[str, float]], float | None]


RMSE = ErrorKind(
    "RMSE", ("rmse", "mae"), lambda one: (one.rmse, one.mae), lambda logged: logged.get("rmse")
)
ERROR_RATE = ErrorKind(
    "error rate",
    ("error_rate",),
    lambda one: (one.wrong,),
    lambda logged: 1 - logged["accuracy"] if "accuracy" in logged else None,
)
"""Of classifiers: the share of rows whose class was predicted wrongly."""


@dataclass(frozen=True)
class LiveErrorOf:
    """The asset and the model of the check, and their kind of error.

    Attributes:
        asset: Of the predictions.
        label: Default column of the labels.
        model_of: Name of the registered model, of the resource and the check's config.
        make: Command or job that makes predictions, for errors.
        fields: Of run config, besides the usual ones.
        completed: The check's config with what the run says, such as its partition.
        partition_of: The partition whose files count, of the check's config; None: all.
    """

    asset: str
    label: str
    model_of: Callable[[MlflowTracker, Any], str]
    make: str
    kind: ErrorKind = RMSE
    fields: Mapping[str, Any] = field(default_factory=dict)
    completed: Callable[[Any, DagsterRun], Any] = lambda config, _run: config
    partition_of: Callable[[Any], str | None] = lambda _config: None

    @property
    def place(self) -> str:
        """Where its run config stands."""
        return f"ops.{self.asset}_{CHECK}.config"


def live_error_check(of: LiveErrorOf) -> AssetChecksDefinition:
    """The check ``live_error``: it warns when the newest period's error is too far above that of
    the test rows."""
    config_class: Any = _config_class(of)

    @asset_check(
        asset=of.asset,
        name=CHECK,
        description="The error of batch predictions by period, by the labels that have arrived "
        f"since, against the {of.kind.title} that the version had on its test rows.",
    )
    def live_error(
        context: AssetCheckExecutionContext,
        config: config_class,
        mlflow: MlflowTracker,
        training_engine: TrainingEngine,
    ) -> AssetCheckResult:
        from wine_quality.engines.batches import UnreadableFileError
        from wine_quality.scoring.live_error import LabelsError

        if not config.labels:
            return _concluded(True, f"No labels have arrived: {of.place}.labels is empty.")
        config = of.completed(config, context.run)
        name, segment = of.model_of(mlflow, config), of.partition_of(config)
        of_segment = {} if segment is None else {SEGMENT: segment}
        try:
            files, found = _errors(context, of, config, training_engine)
        except (UnreadableFileError, LabelsError) as error:
            return _concluded(False, str(error), of_segment)
        if not found:
            return _concluded(True, "None of the predictions has a label yet.", of_segment)
        shown = {
            **of_segment,
            "errors": MetadataValue.table([TableRecord(_record(of.kind, one)) for one in found]),
            "prediction_files": len(files),
            "rows": sum(one.rows for one in found),
        }
        newest = [one for one in found if one.begins == found[-1].begins]
        counted = [one for one in newest if one.rows >= config.minimum_rows]
        if not counted:
            few = f"{sum(one.rows for one in newest)} labels since {found[-1].begins}"
            return _concluded(True, f"{few} are too few; {config.minimum_rows} are needed.", shown)
        return _judged(mlflow, name, of.kind, config, counted, shown)

    return live_error


def _config_class(of: LiveErrorOf) -> Any:
    label = Field(default=of.label, description="Column of the labels that holds them.")
    predictions = Field(
        default="",
        description=f"Files that {of.asset} wrote: one, a folder, or a pattern. Empty: with "
        f"a key all that its last {_MOST_FILES} materializations wrote, of those that are still "
        "there; without one the latest.",
    )
    tolerance = Field(
        default=0.1,
        ge=0,
        description="The check fails when the error of the newest period is so much higher, as a "
        f"share, than the {of.kind.title} that the version had on its test rows.",
    )
    return create_model(
        f"{of.asset}_{CHECK}",
        __base__=LiveErrorConfig,
        label=(str, label),
        predictions=(str, predictions),
        tolerance=(float, tolerance),
        **of.fields,
    )


def _errors(
    context: AssetCheckExecutionContext,
    of: LiveErrorOf,
    config: LiveErrorConfig,
    engine: TrainingEngine,
) -> "tuple[list[str], list[PeriodResult]]":
    from wine_quality.scoring.inputs import Inputs
    from wine_quality.scoring.live_error import live_errors, require_label_for_each
    from wine_quality.scoring.sources import find_source

    with tempfile.TemporaryDirectory() as folder:
        given = find_source(config.labels, Path(folder), f"{of.place}.labels")
        labels = Inputs([given.pattern], engine.threads, engine.memory_limit, given.shown)
        patterns = (
            [config.predictions]
            if config.predictions
            else _latest_files(context, of, of.partition_of(config))
        )
        predictions = Inputs(patterns, engine.threads, engine.memory_limit)
        try:
            described = _described(predictions, of)
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


def _latest_files(
    context: AssetCheckExecutionContext, of: LiveErrorOf, partition: str | None
) -> list[str]:
    """The newest first; those that are gone are left out.

    Raises:
        UnreadableFileError: there is none.
    """
    from upath import UPath

    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.sources.s3 import assets_options

    partitions = None if partition is None else [partition]
    found = context.instance.fetch_materializations(
        AssetRecordsFilter(AssetKey(of.asset), asset_partitions=partitions), limit=_MOST_FILES
    )
    paths = []
    for record in found.records:
        made = record.asset_materialization
        path = str(made.metadata["file"].value) if made and "file" in made.metadata else ""
        options: dict[str, Any] = assets_options() if path.startswith("s3://") else {}
        if path and UPath(path, **options).exists():
            paths.append(path)
    if not paths:
        raise UnreadableFileError(
            f"{of.asset} has no file of predictions. Materialize it ({of.make}), or name one in "
            f"{of.place}.predictions."
        )
    return list(dict.fromkeys(paths))


def _described(predictions: "Inputs", of: LiveErrorOf) -> list[dict[str, Any]]:
    from wine_quality.engines.batches import UnreadableFileError

    found = [predictions.description_of(file) for file in predictions.files]
    for file, one in zip(predictions.files, found, strict=True):
        if not {"key", "rows_read"} <= set(one):
            raise UnreadableFileError(f"{file.name} is not a file that {of.asset} has written.")
    return found


def _judged(
    mlflow: MlflowTracker,
    name: str,
    kind: ErrorKind,
    config: LiveErrorConfig,
    newest: "Sequence[PeriodResult]",
    shown: dict[str, Any],
) -> AssetCheckResult:
    """The newest period against what each version had on its test rows."""
    messages, passed = [], True
    for one in newest:
        error, known = kind.of(one)[0], _known(mlflow, name, kind, one.version)
        text = f"version {one.version}: {kind.title} {error:.4f} on {one.rows} rows"
        if known is None:
            messages.append(f"{text}, and nothing is known of its test rows")
            continue
        limit = known * (1 + config.tolerance)
        passed = passed and error <= limit
        messages.append(f"{text}; {known:.4f} on its test rows, up to {limit:.4f} is tolerated")
    return _concluded(passed, f"Since {newest[0].begins}: {'; '.join(messages)}.", shown)


def _known(mlflow: MlflowTracker, name: str, kind: ErrorKind, version: str) -> float | None:
    found = mlflow.tracker.registry(name).version(version)
    if found is None or not found.run_id:
        return None
    return kind.known(mlflow.tracker.logged_metrics(found.run_id))


def _concluded(passed: bool, text: str, shown: dict[str, Any] | None = None) -> AssetCheckResult:
    return AssetCheckResult(
        passed=passed,
        severity=AssetCheckSeverity.WARN,
        description=text,
        metadata=shown or {},
    )


def _record(kind: ErrorKind, one: "PeriodResult") -> dict[str, Any]:
    return {
        "since": one.begins.isoformat(),
        "version": one.version,
        "rows": one.rows,
        **dict(zip(kind.shown, kind.of(one), strict=True)),
    }
