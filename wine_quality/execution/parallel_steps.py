"""Independent steps of one run at the same time, each in a process of the run's MLflow version.

Dagster's own executor for steps in other processes decides what runs when: dependencies, retries,
pools and limits by tag. All processes share the one MLflow run of the Dagster run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from dagster import DagsterEventType, DagsterInstance

from wine_quality.dagster_support.dagster_private import (
    DagsterEvent,
    DagsterExecutionInterruptedError,
    EngineEventData,
    RetryMode,
    serialize_value,
    step_delegating,
)
from wine_quality.dagster_support.run_tag_names import MLFLOW_OWNER_TAG, MLFLOW_STATE_TAG
from wine_quality.execution.plan_process import PlanProcess
from wine_quality.execution.project_code import ProjectCode
from wine_quality.tracking.runs.lifecycle import is_canceling, is_done, note_interruption
from wine_quality.tracking.runs.run_tags import OPEN

if TYPE_CHECKING:
    from wine_quality.dagster_support.dagster_private import (
        CheckStepHealthResult,
        ExecutionPlan,
        PlanOrchestrationContext,
        StepHandlerContext,
    )
    from wine_quality.environments.mlflow_versions import MlflowVersion

_POLL_SECONDS = 0.2
"""Between two looks at the event log."""

_ENDS = {
    DagsterEventType.STEP_SUCCESS,
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.STEP_UP_FOR_RETRY,
}


def execute_in_parallel(
    plan_context: PlanOrchestrationContext,
    plan: ExecutionPlan,
    version: MlflowVersion,
    max_concurrent: int,
) -> Iterator[DagsterEvent]:
    """Run the plan, with at most ``max_concurrent`` steps at the same time.

    Raises:
        DagsterExecutionInterruptedError: the run was interrupted; its processes have ended.
    """
    origin = plan_context.reconstructable_job.get_python_origin()
    processes = _step_processes(version, ProjectCode.of_job(origin))
    executor = step_delegating().StepDelegatingExecutor(
        processes,
        retries=RetryMode.ENABLED,
        sleep_seconds=_POLL_SECONDS,
        check_step_health_interval_seconds=1,
        max_concurrent=max_concurrent,
    )
    instance, run_id = plan_context.instance, plan_context.run_id
    yield DagsterEvent.engine_event(
        plan_context,
        f"Executing up to {max_concurrent} steps at the same time with MLflow {version.key}, each "
        f"in a process of its environment ({version.python})",
        EngineEventData(),
    )
    interrupted = False
    try:
        yield from executor.execute(plan_context, plan)
    except (KeyboardInterrupt, DagsterExecutionInterruptedError):
        interrupted = True
        raise
    finally:
        processes.stop()
        sentence = _end_mlflow_run(instance, run_id, interrupted)
        if sentence:
            plan_context.log.info(sentence)


def _step_processes(version: MlflowVersion, code: ProjectCode) -> Any:
    delegating: Any = step_delegating()

    class StepProcesses(delegating.StepHandler):
        """Starts, watches and interrupts the processes of steps."""

        name = "MlflowEnvironmentSteps"

        def __init__(self) -> None:
            self._processes: dict[str, PlanProcess] = {}
            self._started: Counter[str] = Counter()

        def launch_step(self, step_handler_context: StepHandlerContext) -> Iterator[DagsterEvent]:
            arguments = step_handler_context.execute_step_args
            (key,) = arguments.step_keys_to_execute or ()
            former = self._processes.get(key)
            if former is not None:  # a try that is to be repeated
                former.stop()
            process = PlanProcess(version, code, one_step=True)
            process.send(serialize_value(arguments))
            self._processes[key] = process
            self._started[key] += 1
            yield DagsterEvent.step_worker_starting(
                step_handler_context.get_step_context(key),
                f"Executing step {key} in a process of MLflow {version.key} (pid: {process.pid})",
                metadata={"pid": str(process.pid)},
            )

        def check_step_health(
            self, step_handler_context: StepHandlerContext
        ) -> CheckStepHealthResult:
            (key,) = step_handler_context.execute_step_args.step_keys_to_execute or ()
            process = self._processes[key]
            healthy = delegating.CheckStepHealthResult.healthy()
            # Asked in this order: what a process has stored before it ended counts.
            if not process.has_ended():
                return healthy
            run_id = step_handler_context.dagster_run.run_id
            stored = step_handler_context.instance.all_logs(run_id, of_type=_ENDS)
            if sum(entry.step_key == key for entry in stored) >= self._started[key]:
                return healthy
            return delegating.CheckStepHealthResult.unhealthy(
                f"its process (pid {process.pid}, MLflow {version.key}) {process.describe_exit()} "
                "before the step was finished. Its output is in the run's stdout and stderr logs."
            )

        def terminate_step(
            self, step_handler_context: StepHandlerContext
        ) -> Iterator[DagsterEvent]:
            (key,) = step_handler_context.execute_step_args.step_keys_to_execute or ()
            # Before the process is interrupted, for it asks whether to end as KILLED.
            run_id = step_handler_context.dagster_run.run_id
            note_interruption(step_handler_context.instance, run_id)
            self._processes[key].interrupt()
            yield from ()

        def stop(self) -> None:
            """Wait for all; one that is still at work is interrupted."""
            for process in self._processes.values():
                process.stop()

    return StepProcesses()


def _end_mlflow_run(instance: DagsterInstance, run_id: str, interrupted: bool) -> str:
    """End the MLflow run where no step's process has: the last step had none, or was killed.

    Returns:
        A sentence for the log; empty when there was nothing to do.
    """
    from wine_quality.tracking.runs.close_run import NotClosedError, close_mlflow_run

    run = instance.get_run_by_id(run_id)
    if run is None or run.tags.get(MLFLOW_OWNER_TAG) != run_id:
        return ""
    if is_done(instance, run):
        status = "FINISHED"
    else:
        status = "KILLED" if interrupted or is_canceling(instance, run) else "FAILED"
    if run.tags.get(MLFLOW_STATE_TAG) == "FINISHED" == status:
        return ""
    # A process that had begun to leave it open to the others may have undone another's status.
    instance.add_run_tags(run_id, {MLFLOW_STATE_TAG: OPEN})
    try:
        return close_mlflow_run(instance, run_id, status)
    except NotClosedError as problem:
        return f"The MLflow run is still open: {problem}. The sensor mlflow_run_closer goes on."
