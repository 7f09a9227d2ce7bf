"""How the MLflow run follows its Dagster run."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    TRAINED_BY_TAG,
    under_current_names,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, EventLogEntry, InitResourceContext

_RESUME_TAG = "dagster/is_resume_retry"

# Set where all steps of the plan run in this process. Other executors make one process a
# step, and then the MLflow run has to outlive the first of them.
runs_whole_plan: ContextVar[bool] = ContextVar("runs_whole_plan", default=False)

# Set by the command line, where Ctrl-C is the way to cancel. To a run worker of the platform,
# SIGINT comes after the UI's Terminate, which has asked for the cancellation already; alone it
# means that the machine is going down.
interrupt_cancels: ContextVar[bool] = ContextVar("interrupt_cancels", default=False)

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass(frozen=True)
class Resumption:
    """The MLflow run a Dagster run continues, if any.

    Attributes:
        run_id: Its id, when it was noted on the Dagster run.
        made_by: The Dagster run that may have made one and died before noting its id.
        is_same_run: Whether another process of the same Dagster run opened it.
        trained_by: The Dagster run that trained what that process went on with.
    """

    run_id: str | None = None
    made_by: str | None = None
    is_same_run: bool = False
    trained_by: str | None = None


def resumption_of(instance: DagsterInstance, run: DagsterRun) -> Resumption:
    """Its own MLflow run (another process of the same run), or its parent's when it is a
    re-execution from failure."""
    tags = under_current_names((instance.get_run_by_id(run.run_id) or run).tags)
    if tags.get(MLFLOW_OWNER_TAG) == run.run_id:
        trained_by = tags.get(TRAINED_BY_TAG)
        return Resumption(tags.get(MLFLOW_RUN_TAG) or None, run.run_id, True, trained_by)
    parent = instance.get_run_by_id(run.parent_run_id) if run.parent_run_id else None
    if parent is not None and is_from_failure(instance, run, parent):
        tags = under_current_names(parent.tags)
        if MLFLOW_OWNER_TAG in tags:
            return Resumption(tags.get(MLFLOW_RUN_TAG) or None, tags[MLFLOW_OWNER_TAG])
    return Resumption()


def is_from_failure(instance: DagsterInstance, run: DagsterRun, parent: DagsterRun) -> bool:
    """Whether it re-executes what its parent run left undone."""
    if run.tags.get(_RESUME_TAG) == "true":
        return True
    # Dagster's Python API (``ReexecutionOptions.from_failure``) writes no such tag.
    if parent.is_success or not parent.is_finished or run.step_keys_to_execute is None:
        return False
    return set(run.step_keys_to_execute) == _steps_left(instance, parent)


def is_canceling(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether somebody asked for the run to be terminated."""
    from dagster import DagsterRunStatus

    stored = instance.get_run_by_id(run.run_id) or run
    return stored.status == DagsterRunStatus.CANCELING


def note_interruption(instance: DagsterInstance, run_id: str) -> None:
    """Have Dagster count an interruption as a cancellation, where it is one."""
    run = instance.get_run_by_id(run_id)
    if interrupt_cancels.get() and run is not None and not run.is_finished:
        instance.report_run_canceling(run, "Interrupted from the terminal.")


def final_status(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """FINISHED, FAILED or KILLED, asked of the event log; None while steps are left to others.

    Dagster throws no exception into a resource's generator, so the log has to be asked.
    """
    from dagster import DagsterEventType

    failures = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    steps_left = _steps_left(instance, run)
    if not steps_left and not failures:
        return "FINISHED"  # also when somebody asked for its end meanwhile: see is_done
    if (
        steps_left
        and not failures
        and not runs_whole_plan.get()
        and not is_canceling(instance, run)
    ):
        return None
    # Interrupted between two steps, no step has failed.
    if any(map(_is_interruption, failures)) or (steps_left and not failures):
        note_interruption(instance, run.run_id)
    if is_canceling(instance, run):
        return "KILLED"
    return "FAILED"


def broken_off_status(instance: DagsterInstance, run: DagsterRun, error: BaseException) -> str:
    """FINISHED, FAILED or KILLED, where an exception ended what the run was doing."""
    if is_done(instance, run):
        return "FINISHED"
    if isinstance(error, GeneratorExit):
        return "KILLED" if is_canceling(instance, run) else "FAILED"
    return "FAILED" if isinstance(error, Exception) else "KILLED"


def is_done(instance: DagsterInstance, run: DagsterRun) -> bool:
    """Whether all that the run was to do is done: every planned step has ended well.

    Such a run counts as SUCCESS and its MLflow run as FINISHED, also if their processes are ended
    afterwards: nothing is left that a re-execution could do.
    """
    from dagster import DagsterEventType

    if not planned_steps(instance, run) or _steps_left(instance, run):
        return False
    return not instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)


def report_done(instance: DagsterInstance, run: DagsterRun) -> None:
    """Have Dagster count a run as SUCCESS, in its log too."""
    from dagster import DagsterEvent, DagsterEventType

    instance.report_dagster_event(
        DagsterEvent(
            event_type_value=DagsterEventType.RUN_SUCCESS.value,
            job_name=run.job_name,
            message="All steps had succeeded when the process of this run ended, so the run counts "
            "as done.",
        ),
        run_id=run.run_id,
    )


def _is_interruption(entry: EventLogEntry) -> bool:
    assert entry.dagster_event is not None
    error = entry.dagster_event.step_failure_data.error
    return error is not None and error.cls_name in _INTERRUPTIONS


def planned_steps(instance: DagsterInstance, run: DagsterRun) -> set[str]:
    """Keys of the steps that this run is to execute."""
    if run.step_keys_to_execute is not None:
        return set(run.step_keys_to_execute)
    if run.execution_plan_snapshot_id is None:
        return set()
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    return set(plan.step_keys_to_execute)


def _steps_left(instance: DagsterInstance, run: DagsterRun) -> set[str]:
    from dagster import DagsterEventType

    ended = {DagsterEventType.STEP_SUCCESS, DagsterEventType.STEP_SKIPPED}
    done = instance.all_logs(run.run_id, of_type=ended)
    return planned_steps(instance, run) - {str(entry.step_key) for entry in done}


def has_ended(context: InitResourceContext) -> bool:
    """Whether the Dagster run that a resource is made for is over."""
    run, instance = context.dagster_run, context.instance
    assert run is not None and instance is not None
    stored = instance.get_run_by_id(run.run_id)
    return stored is not None and stored.is_finished
