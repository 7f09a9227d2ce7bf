"""Closes runs that nobody else could close, in Dagster and in MLflow."""

import datetime

from dagster import (
    DagsterInstance,
    DagsterRun,
    DagsterRunStatus,
    DefaultSensorStatus,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from wine_quality.dagster_support.run_tag_names import MLFLOW_STATE_TAG, runs_tagged
from wine_quality.execution.done_runs import count_done_runs
from wine_quality.execution.lost_runs import end_lost_runs
from wine_quality.execution.own_runs import is_of_location
from wine_quality.tracking.runs.close_run import (
    NotClosedError,
    close_mlflow_run,
    is_open,
    tracking_uri_of,
)
from wine_quality.tracking.runs.run_tags import OPEN

STATUS_OF = {
    DagsterRunStatus.SUCCESS: "FINISHED",
    DagsterRunStatus.FAILURE: "FAILED",
    DagsterRunStatus.CANCELED: "KILLED",
}
_DAYS = 7
_RUNS_PER_TICK = 10


@sensor(
    minimum_interval_seconds=10,
    default_status=DefaultSensorStatus.RUNNING,
    description="Closes the MLflow run of each Dagster run that ended without closing it, such as "
    "one whose process was killed.",
)
def mlflow_run_closer(context: SensorEvaluationContext) -> SkipReason:
    """Ends the MLflow runs of ended Dagster runs whose own process could not: its worker was
    killed, or the tracking server was down. One that cannot be closed now is tried again.

    Before that, Dagster runs that died with their code server are ended, and those whose worker
    died after the last step had succeeded are counted as done. Runs of other code locations are
    left to them."""
    instance = context.instance
    origin = context.code_location_origin
    location = origin.location_name if origin is not None else None
    for run_id in end_lost_runs(instance, location):
        context.log.warning(f"Dagster run {run_id} had lost its worker and is ended.")
    week_ago = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=_DAYS)
    done, reached = count_done_runs(instance, _since(context.cursor, week_ago), location)
    for run_id in done:
        context.log.warning(f"All steps of Dagster run {run_id} had succeeded: it is a SUCCESS.")
    context.update_cursor(reached.isoformat())
    ended = runs_tagged(
        instance, MLFLOW_STATE_TAG, OPEN, statuses=list(STATUS_OF), updated_after=week_ago
    )
    # Re-executions carry their parent's tags.
    left_open = [run for run in ended if is_open(run) and is_of_location(run, location)]
    unreachable: set[str] = set()
    for run in left_open[:_RUNS_PER_TICK]:
        uri = tracking_uri_of(run)
        if uri in unreachable:
            continue
        try:
            text = close_mlflow_run(instance, run.run_id, STATUS_OF[run.status])
            context.log.info(f"Dagster run {run.run_id}: {text}")
        except NotClosedError as error:
            unreachable.add(uri)
            text = f"The MLflow run is still open: {error}. It will be tried again."
            context.log.warning(f"Dagster run {run.run_id}: {text}")
        _log_once(instance, run, text)
    return SkipReason(f"{len(left_open)} MLflow run(s) had been left open.")


def _since(cursor: str | None, default: datetime.datetime) -> datetime.datetime:
    return datetime.datetime.fromisoformat(cursor) if cursor else default


def _log_once(instance: DagsterInstance, run: DagsterRun, text: str) -> None:
    """Log a line in the run, once and not at each tick."""
    line = f"[mlflow_run_closer] {text}"
    known = (entry.dagster_event for entry in instance.all_logs(run.run_id))
    if line not in (event.message for event in known if event):
        instance.report_engine_event(line, run)
