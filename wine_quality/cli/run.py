"""``run``: materialize all assets and print the result."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.cli.closing_lines import links_to_run, metric_lines
from wine_quality.cli.job import launch
from wine_quality.cli.options import add_field, add_run_config, add_training


def add_options(command: argparse.ArgumentParser) -> None:
    place = "resources.hyperparameters.config"
    text = "strength of the penalty, at least 0 (0.5)"
    add_field(command, "--alpha", f"{place}.alpha", type=float, help=text)
    text = "share of L1 in the penalty, 0 to 1 (0.5)"
    add_field(command, "--l1-ratio", f"{place}.l1_ratio", type=float, help=text)
    add_training(command, "raw_wine_csv")
    add_run_config(command)


def run(options: argparse.Namespace) -> int:
    return launch(options, "main_job", "Running wine_quality_model", _print_result)


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

{links_to_run(result.run_id, value["mlflow_run"], key)}""")
