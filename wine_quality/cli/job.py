"""Launch a job from the command line, on the embedded default or a server."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import uuid
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.cli.exits import BAD_USE, FAILED, INTERRUPTED, fail
from wine_quality.cli.options import MODEL_FIELD
from wine_quality.cli.run_config import run_config, version_in_file
from wine_quality.dagster_support.instance import open_dagster, stores_are_made
from wine_quality.dagster_support.run_tag_names import (
    CLI_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_STATE_TAG,
    under_current_names,
)
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    default_version,
    get_version,
)
from wine_quality.execution import startup
from wine_quality.execution.failure_reasons import reasons_of
from wine_quality.execution.plan_process import PlanProcess
from wine_quality.execution.terminal_log import TerminalLog, terminal_log
from wine_quality.paths import dagster_home_in_use, up_command
from wine_quality.policy.settings import trust_the_caller
from wine_quality.tracking.version_choice import ChosenVersion, continued_version

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun


def launch(
    options: argparse.Namespace,
    job: str,
    doing: str,
    print_result: Callable[[Any, str], None],
    continues: Sequence[str] = (),
) -> int:
    """Execute a job; 0 when it succeeded, 1 when it failed, 2 on bad use, 130 on Ctrl-C.

    Args:
        job: Function in ``wine_quality.cli.jobs`` that gives it.
        doing: What the first line prints.
        print_result: Gets the job's result and the key of the MLflow version.
        continues: Assets whose MLflow version it takes, when none is named, and no other model
            than theirs.
    """
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        with terminal_log(options.command) as log:
            try:
                config, chosen = _prepare(options, continues)
            except (ValueError, EnvironmentMissingError) as error:
                return fail(error, BAD_USE)
            followed = f", the version of {chosen.followed}" if chosen.followed else ""
            key = chosen.version.key
            print(f"{doing} with MLflow {key}{followed} …", flush=True)
            if not chosen.version.is_resident:
                PlanProcess.start_early(chosen.version)
            return _execute(job, config, key, print_result, log)
    except KeyboardInterrupt:
        print("\nInterrupted before the run began.", file=sys.stderr)
        return INTERRUPTED
    finally:
        PlanProcess.discard_early()


_interrupted = False


def _interrupt(*_: object) -> None:
    """As Python's own handler; also notes the interrupt, for code that swallows the exception, such
    as an import."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def _stop_if_interrupted() -> None:
    if _interrupted:
        raise KeyboardInterrupt


def _prepare(
    options: argparse.Namespace, continues: Sequence[str]
) -> tuple[dict[str, Any], ChosenVersion]:
    """Run config, and the MLflow version, whose environment is built.

    Raises:
        ValueError: of an option or the file of run config.
        EnvironmentMissingError: the environment is not built and cannot be.
    """
    os.environ["DAGSTER_HOME"] = str(dagster_home_in_use())
    trust_the_caller()
    config = run_config(options)
    followed = () if getattr(options, MODEL_FIELD, None) else continues
    chosen = _chosen_version(options.config, followed, config)
    require_built(chosen.version)
    return config, chosen


def _execute(
    name: str,
    config: dict[str, Any],
    key: str,
    print_result: Callable[[Any, str], None],
    log: TerminalLog,
) -> int:
    startup.begin()
    from dagster import DagsterInvalidConfigError, reconstructable

    from wine_quality.cli import jobs
    from wine_quality.execution.kept_connections import keep_connections
    from wine_quality.execution.terminal_run import execute_as_of_code_location
    from wine_quality.tracking.runs.lifecycle import interrupt_cancels

    interrupt_cancels.set(True)
    tag = {CLI_TAG: uuid.uuid4().hex}
    with open_dagster() as instance:
        keep_connections(instance)
        _stop_if_interrupted()
        try:
            job = reconstructable(getattr(jobs, name))
            result = execute_as_of_code_location(job, instance, config, tag)
        except KeyboardInterrupt:
            return _report_end(instance, tag, key, [], log)
        except DagsterInvalidConfigError as error:
            from wine_quality.cli.config_refusals import refusals_of
            from wine_quality.dagster_support.original_names import ORIGINAL_NAMES

            for refusal in refusals_of(error, job.get_definition(), config, ORIGINAL_NAMES):
                fail(refusal)
            return BAD_USE
        if result.success:
            print_result(result, key)
            return 0
        return _report_end(instance, tag, key, reasons_of(result.all_events), log)


def _chosen_version(
    file: str | None, continues: Sequence[str], config: dict[str, Any]
) -> ChosenVersion:
    """The version that run config names, that of the model a command continues, or the default.

    Raises:
        ValueError: run config names an unknown version.
    """
    key = version_in_file(config, file)
    if key is None and continues and stores_are_made(Path(os.environ["DAGSTER_HOME"])):
        with open_dagster() as instance:
            followed = continued_version(instance, continues)
        if followed is not None:
            return followed
    return ChosenVersion(get_version(key or default_version()))


def _report_end(
    instance: DagsterInstance,
    tag: dict[str, str],
    key: str,
    reasons: list[str],
    log: TerminalLog,
) -> int:
    """Close what is still open, and print how the run ended and what to do next."""
    from dagster import DagsterRunStatus, RunsFilter

    found = instance.get_runs(RunsFilter(tags=tag), limit=1)
    if not found:
        raise KeyboardInterrupt
    run = found[0]
    if not run.is_finished:
        instance.report_run_canceled(run, "Interrupted from the terminal.")
        run = instance.get_run_by_id(run.run_id) or run
    canceled = run.status == DagsterRunStatus.CANCELED
    mlflow_run = _close_left_open(instance, run, "KILLED" if canceled else "FAILED")
    if canceled:
        print(
            f"\nInterrupted. Dagster run {run.run_id} is CANCELED{mlflow_run}. "
            "What was materialized before is kept.",
            file=sys.stderr,
        )
        return INTERRUPTED
    print(f"\nThe run failed: Dagster run {run.run_id}{mlflow_run}.", file=sys.stderr)
    for reason in reasons:
        print(f"  {reason}", file=sys.stderr)
    print(f"Its log: {up_command(key)}, or again with ARGS=--verbose.", file=sys.stderr)
    printed = log.keep()
    if printed:
        print(printed, file=sys.stderr)
    return FAILED


def _close_left_open(instance: DagsterInstance, run: DagsterRun, status: str) -> str:
    from wine_quality.tracking.runs.close_run import NotClosedError, close_mlflow_run

    try:
        close_mlflow_run(instance, run.run_id, status)
    except NotClosedError as error:
        return f", its MLflow run is still open ({error}; `make up` goes on trying)"
    tags = under_current_names((instance.get_run_by_id(run.run_id) or run).tags)
    if not tags.get(MLFLOW_RUN_TAG):
        return ", no MLflow run was made"
    return f", MLflow run {tags[MLFLOW_RUN_TAG]} is {tags[MLFLOW_STATE_TAG]}"


def output_metadata(result: Any) -> dict[str, Any]:
    """Metadata of all outputs of a run."""
    found: dict[str, Any] = {}
    for event in result.all_events:
        if event.is_successful_output:
            found.update(event.step_output_data.metadata)
    return found
