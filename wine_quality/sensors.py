"""Closes MLflow runs whose run worker died."""

from dagster import DagsterRunStatus, DefaultSensorStatus, RunStatusSensorContext, run_status_sensor

from wine_quality.tracking.closing import close_mlflow_run


@run_status_sensor(
    run_status=DagsterRunStatus.FAILURE,
    name="close_mlflow_run_of_failed_run",
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def close_failed(context: RunStatusSensorContext) -> None:
    """Ends the MLflow run of a failed Dagster run as FAILED when nobody else did."""
    context.log.info(close_mlflow_run(context.instance, context.dagster_run, "FAILED"))


@run_status_sensor(
    run_status=DagsterRunStatus.CANCELED,
    name="close_mlflow_run_of_canceled_run",
    default_status=DefaultSensorStatus.RUNNING,
    minimum_interval_seconds=10,
)
def close_canceled(context: RunStatusSensorContext) -> None:
    """Ends the MLflow run of a canceled Dagster run as KILLED when nobody else did."""
    context.log.info(close_mlflow_run(context.instance, context.dagster_run, "KILLED"))
