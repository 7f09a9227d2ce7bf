"""Run a job from the command line, on the embedded default or a server."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.cli.closing_lines import metric_lines, where_to_look
from wine_quality.cli.predict import print_predictions
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
from wine_quality.tracking.version_choice import ChosenVersion, version_to_go_on_with

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

INTERRUPTED = 130
BAD_USE = 2
_RETENTION_ROWS = 20
DOING = {
    "run": "Running wine_quality_model",
    "sweep": "Running wine_quality_sweep",
    "promote": "Promoting a version",
    "rollback": "Returning to a former champion",
    "deploy": "Writing what serves the model",
    "retention": "Looking for old runs and versions",
    "predict": "Scoring rows",
}
# Function in wine_quality.cli.jobs that gives the job of each command.
JOBS = {
    "run": "main_job",
    "sweep": "sweep_job",
    "promote": "promotion_job",
    "rollback": "rollback_job",
    "deploy": "deployment_job",
    "retention": "retention_job",
    "predict": "predictions_job",
}
# Assets whose MLflow version a command takes.
_GOES_ON_WITH = {"deploy": ["champion_model"], "predict": ["champion_model"]}


def run(options: argparse.Namespace) -> int:
    """Execute the job; 0 when it succeeded, 1 when it failed, 2 on bad use, 130 on Ctrl-C."""
    # A shell that starts this in the background has SIGINT ignored.
    signal.signal(signal.SIGINT, _interrupt)
    try:
        with terminal_log(options.command) as log:
            return _run(options, log)
    except KeyboardInterrupt:
        print("\nInterrupted before the run began.", file=sys.stderr)
        return INTERRUPTED
    finally:
        PlanProcess.discard_early()


_interrupted = False


def _interrupt(*_: object) -> None:
    """As Python's own handler; and what swallows the exception, such as an import, is not the end
    of it."""
    global _interrupted
    _interrupted = True
    raise KeyboardInterrupt


def _stop_if_interrupted() -> None:
    if _interrupted:
        raise KeyboardInterrupt


def _run(options: argparse.Namespace, log: TerminalLog) -> int:
    os.environ["DAGSTER_HOME"] = str(dagster_home_in_use())
    trust_the_caller()
    try:
        config = run_config(options)
        chosen = _chosen_version(options, config)
        version = chosen.version
        require_built(version)
    except (ValueError, EnvironmentMissingError) as error:
        print(f"error: {error}", file=sys.stderr)
        return BAD_USE
    followed = f", the version of {chosen.followed}" if chosen.followed else ""
    print(f"{DOING[options.command]} with MLflow {version.key}{followed} …", flush=True)
    if not version.is_resident:
        PlanProcess.start_early(version)
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
            job = reconstructable(getattr(jobs, JOBS[options.command]))
            result = execute_as_of_code_location(job, instance, config, tag)
        except KeyboardInterrupt:
            return _report_end(instance, tag, version.key, [], log)
        except DagsterInvalidConfigError as error:
            from wine_quality.cli.config_refusals import refusals_of
            from wine_quality.dagster_support.original_names import ORIGINAL_NAMES

            for refusal in refusals_of(error, job.get_definition(), config, ORIGINAL_NAMES):
                print(f"error: {refusal}", file=sys.stderr)
            return BAD_USE
        if result.success:
            if options.command == "run":
                _print_result(result, version.key)
            elif options.command == "sweep":
                _print_sweep(result, version.key)
            elif options.command == "deploy":
                _print_deployment(result)
            elif options.command == "retention":
                _print_retention(result)
            elif options.command == "predict":
                print_predictions(result)
            else:
                _print_champion(result)
            return 0
        return _report_end(instance, tag, version.key, reasons_of(result.all_events), log)


def _chosen_version(options: argparse.Namespace, config: dict[str, Any]) -> ChosenVersion:
    """That which run config names, that of the model a command goes on with, or the default.

    Raises:
        ValueError: run config names one that there is not.
    """
    key = version_in_file(config, options.config)
    assets = _GOES_ON_WITH.get(options.command)
    if key is None and assets and stores_are_made(Path(os.environ["DAGSTER_HOME"])):
        with open_dagster() as instance:
            followed = version_to_go_on_with(instance, assets)
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
    """Close what is still open and say how the run ended and what to do next."""
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
    return 1


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


def _print_result(result: Any, key: str) -> None:
    found: dict[str, Any] = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            found.update(event.materialization.metadata)
    value = {name: entry.value for name, entry in found.items()}
    print(f"""
experiment     {value["experiment"]}
MLflow run     {value["mlflow_run_id"]}
Dagster run    {result.run_id}
MLflow client  {value["mlflow_client"]}""")
    print(metric_lines(value))
    print(f"""model          {value["name"]} version {value["version"]}
champion       {value["decision"]}

{where_to_look(result.run_id, value["mlflow_run"], key)}""")


def _print_sweep(result: Any, key: str) -> None:
    found = _output_metadata(result)
    print("\n       alpha  l1_ratio    cv_rmse        ±")
    for record in found["best_points"].records:
        row = record.data
        print(
            f"{row['alpha']:12g}{row['l1_ratio']:10g}{row['cv_rmse']:11.6f}{row['cv_rmse_std']:9.6f}"
        )
    value = {name: entry.value for name, entry in found.items() if name != "best_points"}
    print(f"""
points         {value["points"]}, {value["folds"]} folds of {value["train_rows"]} training rows
experiment     {value["experiment"]}
MLflow run     {value["mlflow_run_id"]}
Dagster run    {result.run_id}
MLflow client  {value["mlflow_client"]}
best           alpha {value["alpha"]:g}, l1_ratio {value["l1_ratio"]:g}""")
    print(metric_lines(value))
    print(f"""model          {value["name"]} version {value["version"]}
champion       {value["decision"]}

{where_to_look(result.run_id, value["mlflow_run"], key)}
The heat map: asset hyperparameter_sweep, or the MLflow run's plots.""")


def _output_metadata(result: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for event in result.all_events:
        if event.is_successful_output:
            found.update(event.step_output_data.metadata)
    return found


def _print_champion(result: Any) -> None:
    said = {name: entry.value for name, entry in _output_metadata(result).items()}
    print(f"""
model          {said["model"]}
champion       version {said["champion"]} (before: {said["before"]})""")


def _print_deployment(result: Any) -> None:
    (made,) = (
        event.materialization.metadata
        for event in result.all_events
        if event.event_type_value == "ASSET_MATERIALIZATION"
    )
    print(f"""
model          {made["model"].value} version {made["version"].value}
files          {made["files"].value}
deployed to    {made["deployed_to"].value}""")


def _print_retention(result: Any) -> None:
    found = _output_metadata(result)
    records = found.pop("oldest").records
    said = {name: entry.value for name, entry in found.items()}
    print(f"\n{'ended':<18}{'run':<34}{'versions':<10}{'children':<10}name")
    for row in (record.data for record in records[:_RETENTION_ROWS]):
        print(
            f"{row['ended']:<18}{row['run']:<34}{row['versions']:<10}{row['children']:<10}"
            f"{row['name']}"
        )
    left = said["runs"] - len(records[:_RETENTION_ROWS])
    print(f"… and {left} more" if left > 0 else "")
    size = "" if said["measured_runs"] >= said["runs"] else "about "
    removed = f"{said['removed_runs']} runs and {said['removed_versions']} versions are removed"
    files = "; their files go by `make gc`"
    done = "a dry run: ARGS=--delete removes them" if said["dry_run"] else removed + files
    print(f"""runs           {said["runs"]} and {said["children"]} below them, {size}\
{said["megabytes"]:g} MB ({said["kept_runs"]} stay)
versions       {said["versions"]} ({said["kept_versions"]} stay)
               {done}""")
