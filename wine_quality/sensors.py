"""Closes runs that nobody else could close, in Dagster and in MLflow."""

import datetime

from dagster import (
    DagsterRunStatus,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from wine_quality.lost_runs import end_lost_runs
from wine_quality.run_tag_names import MLFLOW_STATE_TAG, runs_tagged
from wine_quality.tracking.closing import NotClosedError, close_mlflow_run, is_open, tracking_uri_of
from wine_quality.tracking.run_tags import OPEN

STATUS_OF = {
    DagsterRunStatus.SUCCESS: "FINISHED",
    DagsterRunStatus.FAILURE: "FAILED",
    DagsterRunStatus.CANCELED: "KILLED",
}
_DAYS = 7
_AT_ONCE = 10


@sensor(minimum_interval_seconds=10, default_status=DefaultSensorStatus.RUNNING)
def mlflow_run_closer(context: SensorEvaluationContext) -> SkipReason:
    """Ends the MLflow runs of ended Dagster runs whose own process could not: its worker was
    killed, or the tracking server was down. One that cannot be closed now is tried again.

    Before that, Dagster runs that died with their code server are ended."""
    for run_id in end_lost_runs(context.instance):
        context.log.warning(f"Dagster run {run_id} had lost its worker and is ended.")
    week = datetime.timedelta(days=_DAYS)
    ended = runs_tagged(
        context.instance,
        MLFLOW_STATE_TAG,
        OPEN,
        statuses=list(STATUS_OF),
        updated_after=datetime.datetime.now(datetime.timezone.utc) - week,
    )
    # Re-executions carry their parent's tags.
    left_open = [run for run in ended if is_open(run)]
    unreachable: set[str] = set()
    for run in left_open[:_AT_ONCE]:
        uri = tracking_uri_of(run)
        if uri in unreachable:
            continue
        try:
            said = close_mlflow_run(context.instance, run.run_id, STATUS_OF[run.status])
            context.log.info(f"Dagster run {run.run_id}: {said}")
        except NotClosedError as error:
            unreachable.add(uri)
            context.log.warning(f"Dagster run {run.run_id}: {error}. It will be tried again.")
    return SkipReason(f"{len(left_open)} MLflow run(s) had been left open.")
