"""Run the main job from the command line, on the embedded default or a server."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path
from typing import Any

from wine_quality.environments import startup
from wine_quality.environments.plan_process import PlanProcess
from wine_quality.environments.versions import get_version
from wine_quality.home import dagster_home, home

METRICS = ("rmse", "mae", "r2")


def run_config(options: argparse.Namespace) -> dict[str, Any]:
    """Run config as the Launchpad takes it."""
    config: dict[str, Any] = {}
    if options.config:
        import yaml

        config = yaml.safe_load(Path(options.config).read_text()) or {}
    for path, value in {
        ("ops", "raw_wine_csv", "config", "csv_url"): options.csv_url,
        ("resources", "hyperparameters", "config", "alpha"): options.alpha,
        ("resources", "hyperparameters", "config", "l1_ratio"): options.l1_ratio,
        ("resources", "mlflow", "config", "version"): options.mlflow,
        ("resources", "mlflow", "config", "tracking_uri"): options.tracking_uri,
        ("resources", "mlflow", "config", "experiment_name"): options.experiment,
    }.items():
        if value is not None:
            node = config
            for key in path[:-1]:
                node = node.setdefault(key, {})
            node[path[-1]] = value
    return config


def run(options: argparse.Namespace) -> int:
    """Execute the job; 0 when it succeeded, 1 when it failed, 130 on Ctrl-C."""
    os.environ.setdefault("DAGSTER_HOME", str(dagster_home()))
    print(f"Running wine_quality_model with MLflow {options.mlflow} …", flush=True)
    version = get_version(options.mlflow)
    version.require_python()
    if not version.is_resident:
        PlanProcess.start_early(version)
    startup.begin()
    from dagster import DagsterInstance, execute_job, reconstructable

    from wine_quality.definitions import main_job

    with DagsterInstance.get() as instance:
        try:
            result = execute_job(
                reconstructable(main_job), instance, run_config=run_config(options)
            )
        except KeyboardInterrupt:
            print("Interrupted; the MLflow run was closed.", file=sys.stderr)
            return 130
        if not result.success:
            _print_failure(result)
            return 1
        _print_result(result, options)
    return 0


def _print_failure(result: Any) -> None:
    print(f"\nThe run {result.run_id} failed.", file=sys.stderr)
    for event in result.all_events:
        if event.is_step_failure:
            error = event.step_failure_data.error
            while error.cause is not None:
                error = error.cause
            print(f"  {event.step_key}: {error.message.strip()}", file=sys.stderr)
        elif event.is_resource_init_failure:
            print(f"  {event.engine_event_data.error.message.strip()}", file=sys.stderr)
        elif event.event_type_value == "RUN_FAILURE" and event.job_failure_data.error:
            print(f"  {event.job_failure_data.error.message.strip()}", file=sys.stderr)


def _print_result(result: Any, options: argparse.Namespace) -> None:
    found = {}
    for event in result.all_events:
        if event.event_type_value == "ASSET_MATERIALIZATION":
            found.update(event.materialization.metadata)
    value = {key: entry.value for key, entry in found.items()}
    print(f"""
experiment     {value["experiment"]}
MLflow run     {value["mlflow_run_id"]}
Dagster run    {result.run_id}
MLflow client  {value["mlflow_client"]}""")
    for name in METRICS:
        print(f"{name:<14} {value[name]!r}")
    print(f"""model          {value["name"]} version {value["version"]}

Open both UIs: make up MLFLOW={options.mlflow}
(Dagster on http://localhost:5000, MLflow on http://localhost:5100, data in {home()})""")
