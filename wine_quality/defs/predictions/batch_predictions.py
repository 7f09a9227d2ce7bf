"""``batch_predictions``: any number of rows, scored by the champion or a version picked."""

from dagster import (
    AssetExecutionContext,
    AssetSelection,
    MaterializeResult,
    asset,
    define_asset_job,
)

from wine_quality.batch.config import BatchConfig, source_field
from wine_quality.batch.predictions import BatchSubject, score_batch
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of
from wine_quality.wines.loading import PACKAGED_NAME

_WINES = BatchSubject(
    asset="batch_predictions",
    model_of=lambda mlflow, _partition: mlflow.registered_model_name,
    sample=str(PACKAGED_RED_WINE),
    sample_name=PACKAGED_NAME,
    no_champion="Materialize champion_model (`make run`)",
)


class WineBatchConfig(BatchConfig):
    """The files to score, the model version, and the folder for the predictions."""

    source: str = source_field(
        "the UCI red-wine file shipped with the package", "s3://wines/2026/*.parquet"
    )


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
    config: WineBatchConfig,
    mlflow: MlflowTracker,
    training_engine: TrainingEngine,
):
    """Predictions for any number of rows, as one Parquet file, which is there as a whole or not.

    The rows pass by in batches, in bounded memory, through the champion or a version picked; its
    signature is checked before it is loaded.
    """
    value, metadata = score_batch(context, _WINES, config, mlflow, training_engine)
    return MaterializeResult(value=value, metadata=metadata)


wine_quality_predictions = define_asset_job(
    "wine_quality_predictions",
    selection=AssetSelection.assets(batch_predictions).without_checks(),
    description="Scores a file, folder or s3:// prefix of rows with the champion, or a version, "
    "into one Parquet file.",
)
