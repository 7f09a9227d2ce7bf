"""Any number of rows, scored by the champion of a model or a version picked."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import AssetExecutionContext, Failure, MetadataValue

from wine_quality.batch.config import BatchConfig
from wine_quality.batch.loaded_version import load_version
from wine_quality.engines.choice import EngineChoice
from wine_quality.engines.resource import TrainingEngine
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link

if TYPE_CHECKING:
    from upath import UPath

    from wine_quality.scoring.row_batches import Segment
    from wine_quality.scoring.score import ScoringModel
    from wine_quality.scoring.summary import Summary


@dataclass(frozen=True)
class BatchPredictions:
    """Of ``batch_predictions``: the file, and the version that made it."""

    file: str
    name: str
    version: str
    rows: int
    inputs_sha256: str


@dataclass(frozen=True)
class BatchSubject:
    """Whose champion scores what.

    Attributes:
        asset: Of the predictions; its run config has the fields of ``BatchConfig``.
        model_of: Name of the registered model, of the resource and the step's partition.
        sample: Rows that are scored where none are named: a path or s3://; empty: a source must be
            named.
        sample_name: The same for people.
        no_champion: What to do where there is no champion yet, as the begin of a sentence.
        segment_column: Column of the input that names the partition which a row is of; the rows of
            others are passed over. Empty: all rows are scored.
    """

    asset: str
    model_of: Callable[[MlflowTracker, str | None], str]
    sample: str
    sample_name: str
    no_champion: str
    segment_column: str = ""

    @property
    def place(self) -> str:
        """Where its run config stands."""
        return f"ops.{self.asset}.config"


@dataclass(frozen=True)
class _Pass:
    """The scoring of one step."""

    subject: BatchSubject
    config: BatchConfig
    engine: TrainingEngine
    segment: "Segment | None"
    file: "UPath"
    began: datetime
    description: dict[str, Any]


def score_batch(
    context: AssetExecutionContext,
    subject: BatchSubject,
    config: BatchConfig,
    mlflow: MlflowTracker,
    engine: TrainingEngine,
) -> tuple[BatchPredictions, dict[str, Any]]:
    """Predictions as one Parquet file, which is there as a whole or not; with metadata for the UI.

    The rows pass by in batches, in bounded memory; the version's signature is checked before it is
    loaded.

    Raises:
        Failure: there is no champion, no such version or source, a version that may not be loaded,
            a row that cannot be scored, or a place that may not be written to.
    """
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.scoring.row_batches import Segment
    from wine_quality.scoring.score import BadRowsError

    _require_duckdb(subject, engine)
    partition = context.partition_key if context.has_partition_key else None
    tracker, name = mlflow.tracker, subject.model_of(mlflow, partition)
    version = config.version or tracker.registry(name).holder(CHAMPION)
    if version is None:
        raise Failure(
            f"{name} has no champion that could predict. {subject.no_champion}, or name a version "
            f"in {subject.place}.version.",
            allow_retries=False,
        )
    served, model = load_version(tracker, name, version)
    began = datetime.now(timezone.utc)
    target = _target(subject, config, context.run_id, name, mlflow.version.value)
    description = {
        "model": name,
        "version": version,
        "mlflow_run_id": served.run_id,
        "mlflow_version": mlflow.version.value,
        "dagster_run_id": context.run_id,
        **({"classes": ", ".join(map(str, model.classes))} if model.classes else {}),
    }
    segment = Segment(subject.segment_column, partition) if partition is not None else None
    task = _Pass(subject, config, engine, segment, target, began, description)
    try:
        source, done = _score(context, task, model)
    except (UnreadableFileError, BadRowsError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error
    seconds = max(1e-9, (datetime.now(timezone.utc) - began).total_seconds())
    context.log.info(f"{name} version {version} scored {done.rows} rows into {target}")
    metadata = {
        **description,
        **done.facts(),
        "dagster/row_count": done.rows,
        "source": source,
        "file": MetadataValue.path(str(target)),
        **({"rejects": MetadataValue.path(str(_rejects(target)))} if done.rejected else {}),
        "key": ", ".join(config.key),
        "rows_per_second": round(done.read / seconds),
        **_histogram(done),
        "model_version": mlflow_link(tracker.model_version_url(name, version)),
    }
    return BatchPredictions(str(target), name, version, done.rows, done.inputs_sha256), metadata


def _require_duckdb(subject: BatchSubject, engine: TrainingEngine) -> None:
    if engine.engine == EngineChoice.spark:
        raise Failure(
            f"{subject.asset} reads its rows in this process, in batches, not by Spark. Set "
            'resources.training_engine.config.engine to "duckdb" for this run.',
            allow_retries=False,
        )


def _score(
    context: AssetExecutionContext, task: _Pass, model: "ScoringModel"
) -> "tuple[str, Summary]":
    """The source as it may be shown, and what was seen of its rows."""
    from wine_quality.engines.threads import progress_lines
    from wine_quality.scoring.score import Target, score
    from wine_quality.scoring.sources import open_source
    from wine_quality.sources.table import is_table
    from wine_quality.sources.transfer import redact_url

    subject, config, engine, file = task.subject, task.config, task.engine, task.file
    source, shown = config.source or subject.sample, subject.sample_name
    if not source:
        raise ValueError(f"{subject.place}.source is empty, and there is no sample: name rows.")
    if config.source:
        shown = redact_url(config.source)
    rejects = _rejects(file) if config.reject_bad_rows else None
    moment = task.began.replace(tzinfo=None)
    with tempfile.TemporaryDirectory() as folder:
        inputs = open_source(
            source,
            Path(folder),
            f"{subject.place}.source",
            engine.threads,
            engine.memory_limit,
            trusted=not config.source,
        )
        shown = inputs.files[0].name if is_table(source) else shown
        try:
            for left_out in inputs.left_out:
                context.log.warning(f"{left_out.path} is left out: {left_out.reason}")
            described = {**task.description, "source": shown}
            target = Target(file, rejects, config.key, moment, described, task.segment)
            report = progress_lines(context.log.info, "Scored")
            return shown, score(inputs, model, target, lambda rows: report(rows, None))
        finally:
            inputs.close()


def _target(
    subject: BatchSubject, config: BatchConfig, run_id: str, name: str, key: str
) -> "UPath":
    """The file, by the rule of ``BatchConfig.output``."""
    from upath import UPath

    from wine_quality.paths import predictions
    from wine_quality.policy.names import inside
    from wine_quality.policy.places import check_output
    from wine_quality.policy.settings import ForbiddenConfigError
    from wine_quality.sources.s3 import assets_options

    place = config.output
    try:
        # Those of the wines were checked when the run began; ops of other projects are not listed.
        check_output(place, f"{subject.place}.output")
    except ForbiddenConfigError as error:
        raise Failure(str(error), allow_retries=False) from error
    if not place:
        place = str(inside(predictions(), f"mlflow-{key}", name))
    if not place.endswith(".parquet"):
        place = f"{place.rstrip('/')}/{run_id}.parquet"
    if "://" not in place:
        place = str(Path(place).expanduser().absolute())
    return UPath(place, **(assets_options() if place.startswith("s3://") else {}))


def _rejects(target: "UPath") -> "UPath":
    return target.with_name(f"{target.name.removesuffix('.parquet')}.rejects.parquet")


def _histogram(done: "Summary") -> dict[str, Any]:
    from wine_quality.models import small_plots

    if done.edges is None:
        return {}
    svg = small_plots.histogram(done.counts, *done.edges, "predictions")
    return {"predictions": MetadataValue.md(small_plots.as_markdown("predictions", svg))}
