"""The executor that runs a whole plan in the environment of the MLflow version its config names.

One Python holds one MLflow. When the version picked is the one this process carries, the plan
runs right here. Otherwise one child process of the picked environment runs all steps: it writes
its events to the Dagster instance and hands each, already stored, to this process through a
pipe, which is ordered and closes when the child dies: nothing is polled from the event log.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import Field, executor

from wine_quality.dagster_support.dagster_private import (
    DagsterEvent,
    DagsterExecutionInterruptedError,
    EngineEventData,
    ErrorSource,
    ExecuteStepArgs,
    Executor,
    InProcessExecutor,
    ReconstructableJob,
    ResolvedRunConfig,
    RetryMode,
    SerializableErrorInfo,
    StepDependencyConfig,
    StepFailureData,
    deserialize_value,
    pop_captured_interrupt,
    serialize_value,
)
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.escaping import ProjectError
from wine_quality.execution import startup
from wine_quality.execution.config_variables import check_config_variables
from wine_quality.execution.declared_steps import declare_steps
from wine_quality.execution.first_use import require_environment
from wine_quality.execution.kept_connections import keep_connections
from wine_quality.execution.plan_process import PlanProcess
from wine_quality.execution.project_code import ProjectCode
from wine_quality.execution.run_failures import present_error, run_failed, with_reason_first
from wine_quality.policy.fields import check_fields
from wine_quality.tracking.runs.lifecycle import note_interruption, runs_whole_plan
from wine_quality.tracking.version_choice import (
    ChosenVersion,
    choose_version,
    version_of_process,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from wine_quality.dagster_support.dagster_private import (
        ExecutionPlan,
        PlanOrchestrationContext,
    )

_FINISHED = ("STEP_SUCCESS", "STEP_FAILURE", "STEP_SKIPPED")


def choose_for(plan_context: PlanOrchestrationContext) -> ChosenVersion | None:
    """The version of this run (``choose_version``); None for a job without the mlflow resource.

    Raises:
        RuntimeError: the job has that resource under another key, where its version would not
            be found.
    """
    job_def = plan_context.job.get_definition()
    resources = ResolvedRunConfig.build(job_def, plan_context.run_config).resources
    if "mlflow" not in resources:
        _require_usual_key(job_def.resource_defs, resources)
        return None
    configured = resources["mlflow"].config["version"]
    return choose_version(
        plan_context.instance,
        plan_context.dagster_run,
        getattr(configured, "value", configured),
    )


def _require_usual_key(definitions: Mapping[str, Any], used: Iterable[str]) -> None:
    for key in used:
        made_by = getattr(definitions.get(key), "configurable_resource_cls", type(None))
        # By name: its module costs what a job without it should not pay.
        if any(one.__name__ == "MlflowTracker" for one in made_by.__mro__):
            raise RuntimeError(
                f'the job has its MLflow resource under the key "{key}". It must be "mlflow": the '
                "executor picks the process by resources.mlflow.config.version. Write "
                'resources={"mlflow": MlflowTracker(…)}, and mlflow in the assets that use it.'
            )


class PlanProcessDiedError(ProjectError, RuntimeError):
    """The child process ended before its steps did; the message gives its exit code or signal."""


class MlflowEnvironmentExecutor(Executor):
    """Runs the plan here or in a child process; with ``max_concurrent`` each step in one."""

    def __init__(self, max_concurrent: int = 1) -> None:
        self._max_concurrent = max_concurrent

    @property
    def retries(self) -> RetryMode:
        return RetryMode.ENABLED

    @property
    def step_dependency_config(self) -> StepDependencyConfig:
        return StepDependencyConfig.default()

    def execute(
        self, plan_context: PlanOrchestrationContext, execution_plan: ExecutionPlan
    ) -> Iterator[DagsterEvent]:
        keep_connections(plan_context.instance)
        try:
            for event in _execute(plan_context, execution_plan, self._max_concurrent):
                yield with_reason_first(event)
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            # It may have come before there was a step, or a resource, to notice it.
            note_interruption(plan_context.instance, plan_context.run_id)
            raise
        except Exception as error:
            if plan_context.raise_on_error:
                raise
            raise run_failed(present_error()) from error


def _execute(
    plan_context: PlanOrchestrationContext, plan: ExecutionPlan, max_concurrent: int
) -> Iterator[DagsterEvent]:
    check_config_variables(plan_context.run_config)
    check_fields(plan_context.run_config)
    declare_steps(plan_context.run_id, plan_context.job.get_definition(), plan)
    chosen = choose_for(plan_context)
    version = chosen.version if chosen else None
    if chosen and chosen.followed:
        yield DagsterEvent.engine_event(plan_context, chosen.sentence, EngineEventData())
    if version is not None and max_concurrent > 1:
        from wine_quality.execution.parallel_steps import execute_in_parallel

        _require_reachable(plan_context, version)
        yield from execute_in_parallel(plan_context, plan, version, max_concurrent)
    elif version is None or version.is_resident:
        runs_whole_plan.set(True)
        if version is not None:
            version_of_process.set((plan_context.run_id, version.key))
        within = InProcessExecutor(retries=RetryMode.ENABLED)
        with startup.one_run():
            yield from within.execute(plan_context, plan)
    else:
        yield from _execute_in_child(plan_context, plan, version)


def _execute_in_child(
    plan_context: PlanOrchestrationContext, plan: ExecutionPlan, version: MlflowVersion
) -> Iterator[DagsterEvent]:
    _require_reachable(plan_context, version)
    arguments = ExecuteStepArgs(
        job_origin=plan_context.reconstructable_job.get_python_origin(),
        run_id=plan_context.run_id,
        step_keys_to_execute=plan.step_keys_to_execute,
        instance_ref=plan_context.instance.get_ref(),
        retry_mode=RetryMode.ENABLED,
        known_state=plan.known_state,
        should_verify_step=False,
        print_serialized_events=False,
    )
    process = PlanProcess.of(version, ProjectCode.of_job(arguments.job_origin))
    process.send(serialize_value(arguments))
    open_steps: dict[str, None] = {}
    closed_steps: set[str] = set()
    interrupted = False
    failure: SerializableErrorInfo | None = None
    try:
        yield DagsterEvent.engine_event(
            plan_context,
            f"Executing steps with MLflow {version.key} in its own environment "
            f"(pid: {process.pid}, {version.python})",
            EngineEventData.in_process(process.pid, plan.step_keys_to_execute),
        )
        for line in process.lines():
            if line is None:
                if pop_captured_interrupt():
                    interrupted = True
                    # Before the child is interrupted, for it asks whether to end as KILLED.
                    note_interruption(plan_context.instance, plan_context.run_id)
                    process.interrupt()
                continue
            sent = deserialize_value(line, (DagsterEvent, SerializableErrorInfo))
            if isinstance(sent, SerializableErrorInfo):
                failure = sent
                continue
            _note_step(sent, open_steps, closed_steps)
            yield sent
    finally:
        process.stop()

    # The child may have died between storing an event and handing it over.
    if process.exit_code != 0:
        for entry in plan_context.instance.all_logs(plan_context.run_id):
            if entry.dagster_event is not None:
                _note_step(entry.dagster_event, open_steps, closed_steps)
    if interrupted:
        raise DagsterExecutionInterruptedError()
    unfinished = [key for key in plan.step_keys_to_execute if key not in closed_steps]
    if process.exit_code == 0 or (closed_steps and not unfinished):
        return
    if failure is not None:
        yield from _close_steps(plan_context, plan, list(open_steps), failure)
        raise run_failed(failure)
    yield from _report_death(plan_context, plan, version, process, list(open_steps))


def _require_reachable(plan_context: PlanOrchestrationContext, version: MlflowVersion) -> None:
    """See that a process of the version's environment can load the job."""
    if not version.is_resident:
        require_environment(version, plan_context.log, plan_context.instance, plan_context.run_id)
    if not isinstance(plan_context.job, ReconstructableJob):
        raise RuntimeError(
            f"MLflow {version.key} runs in another process than this one, which needs a job that "
            "can be loaded there: launch it from the UI, `dagster job launch` or `make run`."
        )


def _note_step(event: DagsterEvent, open_steps: dict[str, None], closed: set[str]) -> None:
    if event.step_key is None:
        return
    if event.event_type_value == "STEP_START":
        open_steps[event.step_key] = None
    elif event.event_type_value in _FINISHED:
        open_steps.pop(event.step_key, None)
        closed.add(event.step_key)


def _close_steps(
    plan_context: PlanOrchestrationContext,
    plan: ExecutionPlan,
    open_steps: list[str],
    error: SerializableErrorInfo,
) -> Iterator[DagsterEvent]:
    for key in open_steps:
        yield DagsterEvent.step_failure_event(
            step_context=plan_context.for_step(plan.get_executable_step_by_key(key)),
            step_failure_data=StepFailureData(
                error=error, user_failure_data=None, error_source=ErrorSource.FRAMEWORK_ERROR
            ),
        )


def _report_death(
    plan_context: PlanOrchestrationContext,
    plan: ExecutionPlan,
    version: MlflowVersion,
    process: PlanProcess,
    open_steps: list[str],
) -> Iterator[DagsterEvent]:
    """Close the steps that were in progress and fail the run."""
    from wine_quality.tracking.runs.close_run import NotClosedError, close_mlflow_run

    message = (
        f"The process that ran this plan with MLflow {version.key} (pid {process.pid}) "
        f"{process.describe_exit()} before its steps were finished. "
        "Its output is in the run's stdout and stderr logs."
    )
    error = SerializableErrorInfo(message=message, stack=[], cls_name="PlanProcessDied")
    yield from _close_steps(plan_context, plan, open_steps, error)
    try:
        closed = close_mlflow_run(plan_context.instance, plan_context.run_id, "FAILED")
    except NotClosedError as problem:
        closed = f"The MLflow run is still open: {problem}. The sensor mlflow_run_closer goes on."
    yield DagsterEvent.engine_event(plan_context, closed, EngineEventData(error=error))
    raise PlanProcessDiedError(message)


@executor(
    name="mlflow_environment",
    config_schema={
        "max_concurrent": Field(
            int,
            default_value=1,
            description="Steps that run at the same time, each in a process of its own that needs "
            "some seconds to start, all in one MLflow run. 1: all steps in one process, one after "
            "the other.",
        )
    },
)
def mlflow_environment_executor(init_context) -> MlflowEnvironmentExecutor:
    """Runs all steps in the environment of the MLflow version picked, in one process.

    ``resources.mlflow.config.version`` picks it. ``max_concurrent`` above 1 runs steps that do not
    need each other at the same time, each in a process of its own.
    """
    max_concurrent = init_context.executor_config["max_concurrent"]
    if max_concurrent < 1:
        raise ValueError(
            f"execution.config.max_concurrent is {max_concurrent}; it is how many steps run at the "
            "same time, 1 or more."
        )
    return MlflowEnvironmentExecutor(max_concurrent)
