"""``batch_predictions``: any number of rows, scored by the champion or a version picked."""

import tempfile
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetExecutionContext,
    AssetSelection,
    Failure,
    MaterializeResult,
    MetadataValue,
    asset,
    define_asset_job,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.choice import EngineChoice
from wine_quality.engines.resource import TrainingEngine
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of

if TYPE_CHECKING:
    from upath import UPath

    from wine_quality.packaging.served_model import ServedModel
    from wine_quality.scoring.score import ScoringModel
    from wine_quality.scoring.summary import Summary
    from wine_quality.tracking.tracker import Tracker

_FIELD = "ops.batch_predictions.config"


class BatchConfig(CheckedConfig):
    """The files to score, the model version, and the folder for the predictions."""

    source: str = Field(
        default="",
        description="Rows to score: a Parquet or CSV file, a folder or s3:// prefix of files (with "
        "a slash at its end), a pattern such as s3://wines/2026/*.parquet, one https:// file, or a "
        "table, postgresql://HOST:5432/DATABASE?table=SCHEMA.NAME. "
        "Empty: the UCI red-wine file shipped with the package.",
    )
    output: str = Field(
        default="",
        description="The Parquet file of predictions (…/name.parquet), local or s3://; else a "
        "folder, in which it is called after the run. Empty: predictions in $WINE_QUALITY_HOME.",
    )
    version: str = Field(default="", description="Number of a version. Empty: the champion.")
    key: list[str] = Field(
        default=[],
        description="Columns of the rows that name them; they are handed on, and labels that "
        "arrive later are joined by them.",
    )
    reject_bad_rows: bool = Field(
        default=False,
        description="Rows with a missing value or text where a number belongs go into a file "
        "beside the predictions (….rejects.parquet). Without it, one fails the run.",
    )


@dataclass(frozen=True)
class BatchPredictions:
    """Of ``batch_predictions``: the file, and the version that made it."""

    file: str
    name: str
    version: str
    rows: int
    inputs_sha256: str


@asset(
    group_name=GROUP,
    kinds={"mlflow", "parquet"},
    owners=OWNERS,
    code_version="1",
    deps=["champion_model"],
    op_tags=continues_mlflow_run_of("champion_model"),
)
@name_failing_server(retry_step=True)
def batch_predictions(
    context: AssetExecutionContext,
    config: BatchConfig,
    mlflow: MlflowTracker,
    training_engine: TrainingEngine,
):
    """Predictions for any number of rows, as one Parquet file, which is there as a whole or not.

    The rows pass by in batches, in bounded memory, through the champion or a version picked; its
    signature is checked before it is loaded.
    """
    from wine_quality.engines.batches import UnreadableFileError
    from wine_quality.scoring.score import BadRowsError

    _require_duckdb(training_engine)
    tracker, name = mlflow.tracker, mlflow.registered_model_name
    version = config.version or tracker.registry(name).holder(CHAMPION)
    if version is None:
        raise Failure(
            f"{name} has no champion that could predict. Materialize champion_model (`make run`), "
            f"or name a version in {_FIELD}.version.",
            allow_retries=False,
        )
    served, model = _load(tracker, name, version)
    began = datetime.now(timezone.utc)
    target = _target(config, context.run_id, name, mlflow.version.value)
    description = {
        "model": name,
        "version": version,
        "mlflow_run_id": served.run_id,
        "mlflow_version": mlflow.version.value,
        "dagster_run_id": context.run_id,
    }
    try:
        source, done = _score(context, config, training_engine, model, target, began, description)
    except (UnreadableFileError, BadRowsError, ValueError) as error:
        raise Failure(str(error), allow_retries=False) from error
    seconds = max(1e-9, (datetime.now(timezone.utc) - began).total_seconds())
    context.log.info(f"{name} version {version} scored {done.rows} rows into {target}")
    return MaterializeResult(
        value=BatchPredictions(str(target), name, version, done.rows, done.inputs_sha256),
        metadata={
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
        },
    )


def _require_duckdb(engine: TrainingEngine) -> None:
    if engine.engine == EngineChoice.spark:
        raise Failure(
            "batch_predictions reads its rows in this process, in batches, not by Spark. Set "
            'resources.training_engine.config.engine to "duckdb" for this run.',
            allow_retries=False,
        )


def _load(tracker: "Tracker", name: str, version: str) -> "tuple[ServedModel, ScoringModel]":
    """The version, after its signature and its files were checked.

    Raises:
        Failure: there is no such version, its files are gone or not what was registered, or its
            signature has columns that are not numbers.
    """
    import mlflow.pyfunc

    from wine_quality.packaging.served_model import UnservableModelError
    from wine_quality.scoring.score import ScoringModel
    from wine_quality.serving.fetch import download

    with tempfile.TemporaryDirectory() as folder:
        try:
            found = download(tracker, name, version, Path(folder))
        except UnservableModelError as error:
            raise Failure(str(error), allow_retries=False) from error
        try:
            loaded = mlflow.pyfunc.load_model(str(found.files))
        except ImportError as error:
            raise Failure(
                f"{name} version {version} needs a package that is missing here ({error}). Add it "
                "by python -m wine_quality.environments build VERSION --with FILE.",
                allow_retries=False,
            ) from error
    return found.model, ScoringModel(version, found.model.columns, loaded.predict)


def _score(
    context: AssetExecutionContext,
    config: BatchConfig,
    engine: TrainingEngine,
    model: "ScoringModel",
    file: "UPath",
    began: datetime,
    description: dict[str, Any],
) -> "tuple[str, Summary]":
    """The source as it may be shown, and what was seen of its rows."""
    from wine_quality.paths import PACKAGED_RED_WINE
    from wine_quality.scoring.score import Target, score
    from wine_quality.scoring.sources import open_source
    from wine_quality.sources.table import is_table
    from wine_quality.sources.transfer import redact_url
    from wine_quality.wines.loading import PACKAGED_NAME
    from wine_quality.wines.streaming import progress_lines

    shown = redact_url(config.source) if config.source else PACKAGED_NAME
    rejects = _rejects(file) if config.reject_bad_rows else None
    moment = began.replace(tzinfo=None)
    with tempfile.TemporaryDirectory() as folder:
        source = config.source or str(PACKAGED_RED_WINE)
        inputs = open_source(
            source, Path(folder), f"{_FIELD}.source", engine.threads, engine.memory_limit
        )
        shown = inputs.files[0].name if is_table(source) else shown
        try:
            for left_out in inputs.left_out:
                context.log.warning(f"{left_out.path} is left out: {left_out.reason}")
            target = Target(file, rejects, config.key, moment, {**description, "source": shown})
            report = progress_lines(context.log.info, "Scored")
            return shown, score(inputs, model, target, lambda rows: report(rows, None))
        finally:
            inputs.close()


def _target(config: BatchConfig, run_id: str, name: str, key: str) -> "UPath":
    """The file, by the rule of ``BatchConfig.output``."""
    from upath import UPath

    from wine_quality.defs.io_manager import s3_options
    from wine_quality.paths import predictions
    from wine_quality.policy.names import inside

    place = config.output
    if not place:
        place = str(inside(predictions(), f"mlflow-{key}", name))
    if not place.endswith(".parquet"):
        place = f"{place.rstrip('/')}/{run_id}.parquet"
    if "://" not in place:
        place = str(Path(place).expanduser().absolute())
    return UPath(place, **(s3_options() if place.startswith("s3://") else {}))


def _rejects(target: "UPath") -> "UPath":
    return target.with_name(f"{target.name.removesuffix('.parquet')}.rejects.parquet")


def _histogram(done: "Summary") -> dict[str, Any]:
    from wine_quality.models import small_plots

    if done.edges is None:
        return {}
    svg = small_plots.histogram(done.counts, *done.edges, "predictions")
    return {"predictions": MetadataValue.md(small_plots.as_markdown("predictions", svg))}


wine_quality_predictions = define_asset_job(
    "wine_quality_predictions",
    selection=AssetSelection.assets(batch_predictions).without_checks(),
    description="Scores a file, folder or s3:// prefix of rows with the champion, or a version, "
    "into one Parquet file.",
)
