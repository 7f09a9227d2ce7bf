"""The child process of the executor: runs a plan, or a step of one, with this environment's MLflow.

Reads serialized ``ExecuteStepArgs`` from standard input, stores every event in the Dagster
instance as any run worker does, and writes each to the file descriptor named in ``argv[1]``.
"""

from __future__ import annotations

import os
import signal
import sys

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.environments.process_groups import end_with_parent
from wine_quality.execution import startup
from wine_quality.execution.plan_process import ONE_STEP, PRELOAD
from wine_quality.tracking.runs.lifecycle import runs_whole_plan
from wine_quality.tracking.version_choice import version_of_process


def main() -> int:
    end_with_parent()
    # Ignored where a script started the platform with "&"; the parent interrupts its child by it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    startup.begin()
    from dagster import DagsterInstance

    from wine_quality.dagster_support.dagster_private import (
        DagsterExecutionInterruptedError,
        ExecuteRunWithPlanIterable,
        ExecuteStepArgs,
        PlanExecutionContextManager,
        capture_interrupts,
        create_execution_plan,
        deserialize_value,
        inner_plan_execution_iterator,
        inprocess_execution_iterator,
        recon_job_from_origin,
        serialize_value,
    )
    from wine_quality.execution.declared_steps import declare_steps
    from wine_quality.execution.kept_connections import keep_connections
    from wine_quality.execution.run_failures import present_error

    # The parent is still at its own imports.
    if PRELOAD in sys.argv[2:]:
        startup.preload(startup.warm_up().FIRST_IMPORTS)
    plan_arguments = sys.stdin.read()
    if not plan_arguments:
        return 0  # started early by a process that ended before it had a plan
    one_step = ONE_STEP in sys.argv[2:]
    runs_whole_plan.set(not one_step)
    arguments = deserialize_value(plan_arguments, ExecuteStepArgs)
    assert arguments.instance_ref is not None and arguments.retry_mode is not None
    resident = next((v.key for v in MLFLOW_VERSIONS.values() if v.is_resident), None)
    if resident is not None:
        version_of_process.set((arguments.run_id, resident))
    with (
        os.fdopen(int(sys.argv[1]), "w", encoding="utf-8") as events,
        DagsterInstance.from_ref(arguments.instance_ref) as instance,
        capture_interrupts(),
    ):
        keep_connections(instance)
        run = instance.get_run_by_id(arguments.run_id)
        if run is None:
            raise RuntimeError(f"run {arguments.run_id} is not in this Dagster instance")
        job = recon_job_from_origin(arguments.job_origin).get_subset(
            op_selection=run.resolved_op_selection,
            asset_selection=run.asset_selection,
            asset_check_selection=run.asset_check_selection,
        )
        plan = create_execution_plan(
            job,
            run_config=run.run_config,
            step_keys_to_execute=arguments.step_keys_to_execute,
            known_state=arguments.known_state,
        )
        declare_steps(arguments.run_id, job.get_definition(), plan)
        stream = ExecuteRunWithPlanIterable(
            execution_plan=plan,
            iterator=inner_plan_execution_iterator if one_step else inprocess_execution_iterator,
            execution_context_manager=PlanExecutionContextManager(
                job=job,
                retry_mode=arguments.retry_mode,
                execution_plan=plan,
                run_config=run.run_config,
                dagster_run=run,
                instance=instance,
            ),
        )
        try:
            for event in stream:
                events.write(serialize_value(event) + "\n")
                events.flush()
        except (KeyboardInterrupt, DagsterExecutionInterruptedError):
            return 130
        except Exception:
            # The run's failure shows it with its traceback; the terminal is spared of that.
            events.write(serialize_value(present_error()) + "\n")
            return 1
    return 0


if __name__ == "__main__":
    try:
        code = main()
    except KeyboardInterrupt:
        code = 130  # before there was a run to interrupt; the parent reports it
    startup.end()
    sys.exit(code)
