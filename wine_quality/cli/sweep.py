"""``sweep``: cross-validate a grid and offer the best point."""

from __future__ import annotations

import argparse
from typing import Any

from wine_quality.cli.closing_lines import links_to_run, metric_lines
from wine_quality.cli.job import launch, output_metadata
from wine_quality.cli.options import (
    ENGINE_FIELD,
    add_field,
    add_run_config,
    add_training,
    numbers,
)

_POINTS = "ops.sweep_points.config"


def add_options(command: argparse.ArgumentParser) -> None:
    text = "to try: 0.01,0.1 (ten, 0.0001 to 1)"
    add_field(command, "--alphas", f"{_POINTS}.alphas", type=numbers, help=text)
    text = "to try: 0.2,0.8 (ten, 0.1 to 1)"
    add_field(command, "--l1-ratios", f"{_POINTS}.l1_ratios", type=numbers, help=text)
    text = "number of folds of the cross-validation (5)"
    add_field(command, "--folds", f"{_POINTS}.folds", type=int, help=text)
    add_training(command, "sweep_data")
    add_run_config(command)


def sweep(options: argparse.Namespace) -> int:
    given = vars(options)
    if given[ENGINE_FIELD]:
        # What a sweep asks for, the pass over the data must keep.
        given["resources.training_engine.config.folds"] = given[f"{_POINTS}.folds"]
    return launch(options, "sweep_job", "Running wine_quality_sweep", _print_sweep)


def _print_sweep(result: Any, key: str) -> None:
    found = output_metadata(result)
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

{links_to_run(result.run_id, value["mlflow_run"], key)}
The heat map: asset hyperparameter_sweep, or the MLflow run's plots.""")
