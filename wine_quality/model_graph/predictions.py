"""Batch predictions of a model graph, the check of their error, and the jobs of both."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from dagster import (
    AssetChecksDefinition,
    AssetExecutionContext,
    AssetsDefinition,
    AssetSelection,
    MaterializeResult,
    SensorDefinition,
    asset,
    define_asset_job,
)
from pydantic import create_model

from wine_quality.batch.config import BatchConfig, source_field
from wine_quality.batch.live_error import ERROR_RATE, RMSE, LiveErrorOf, live_error_check
from wine_quality.batch.predictions import BatchSubject, score_batch
from wine_quality.batch.retraining import retraining_sensor
from wine_quality.engines.resource import TrainingEngine
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.model_graph.roles import (
    model_of,
    segment_or_partition,
    segment_or_partition_field,
)
from wine_quality.tables.dataset import Task
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of


def batch_predictions(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_predictions``: files of any size, scored by the champion, or that of a segment."""
    sample = plan.source or plan.dataset.sample
    is_file = sample is not None and "://" not in str(sample)
    subject = BatchSubject(
        asset=f"{plan.name}_predictions",
        model_of=lambda mlflow, segment: plan.registered_name(
            mlflow.registered_model_name, segment
        ),
        sample=str(sample or ""),
        sample_name=Path(str(sample)).name if is_file else str(sample or ""),
        no_champion=f"Train one (the job {plan.name})",
        segment_column=plan.segment_by,
    )
    config_class: Any = create_model(
        f"{subject.asset}_config",
        __base__=BatchConfig,
        source=(str, source_field("the rows that the model's own source has")),
    )

    @asset(
        name=subject.asset,
        deps=[f"{plan.name}_champion"],
        kinds={"mlflow", "parquet"},
        op_tags=continues_mlflow_run_of(f"{plan.name}_champion"),
        description="Predictions for any number of rows by the champion, or a version picked, as "
        "one Parquet file, which is there as a whole or not."
        + (f" Of the rows of the {plan.segment_by} only." if plan.segment_by else ""),
        **plan.options,
    )
    @name_failing_server(retry_step=True)
    def predictions(
        context: AssetExecutionContext,
        config: config_class,
        mlflow: MlflowTracker,
        training_engine: TrainingEngine,
    ):  # Dagster takes the annotation for that of all outputs
        value, metadata = score_batch(context, subject, config, mlflow, training_engine)
        return MaterializeResult(value=asdict(value), metadata=metadata)

    return predictions


def live_error(plan: ModelPlan) -> AssetChecksDefinition:
    """The check ``live_error`` of ``<name>_predictions``."""
    return live_error_check(
        LiveErrorOf(
            asset=f"{plan.name}_predictions",
            label=plan.dataset.target,
            model_of=lambda mlflow, config: model_of(plan, mlflow, config),
            make=f"the job {plan.name}_scoring",
            kind=RMSE if plan.dataset.task is Task.regression else ERROR_RATE,
            fields=segment_or_partition_field(plan),
            completed=segment_or_partition,
            partition_of=lambda config: config.segment if plan.segment_by else None,
        )
    )


def live_error_retraining(plan: ModelPlan) -> SensorDefinition:
    """``<name>_live_error_retraining``: a run of the job ``<name>`` when the check has failed."""
    which = " of a segment, with that as its partition" if plan.segment_by else ""
    return retraining_sensor(
        f"{plan.name}_live_error_retraining",
        f"{plan.name}_predictions",
        plan.name,
        f"Requests one run of {plan.name}, on the model's own source, for each time that the check "
        f"live_error of {plan.name}_predictions has failed{which}. Stopped until it is started.",
        has_segments=bool(plan.segment_by),
    )


def prediction_jobs(
    plan: ModelPlan, predictions: AssetsDefinition, check: AssetChecksDefinition
) -> list[Any]:
    """``<name>_scoring`` and ``<name>_live_error``."""
    return [
        define_asset_job(
            f"{plan.name}_scoring",
            AssetSelection.assets(predictions).without_checks(),
            description="Scores a file, folder or s3:// prefix of rows with the champion, or a "
            "version, into one Parquet file.",
        ),
        define_asset_job(
            f"{plan.name}_live_error",
            AssetSelection.checks(check),
            description="Joins labels that have arrived to batch predictions, and reports the "
            "error by period.",
        ),
    ]
