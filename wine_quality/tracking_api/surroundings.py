"""The step and the process around an MLflow run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import AssetExecutionContext, OpExecutionContext

    from wine_quality.tracking.tracker import Tracker

_EXPERIMENT_VARIABLES = ("MLFLOW_EXPERIMENT_ID", "MLFLOW_EXPERIMENT_NAME")


def value_outputs(context: AssetExecutionContext | OpExecutionContext) -> set[str]:
    """Names of the outputs that are values: an asset's checks are outputs too."""
    names = set(context.selected_output_names)
    return names & set(context.assets_def.keys_by_output_name) if context.has_assets_def else names


@contextmanager
def active_experiment(tracker: Tracker) -> Iterator[None]:
    """Make the run's experiment MLflow's active one. ``start_run(nested=True)`` puts child runs
    into the active experiment, not into that of the run above."""
    before = {name: os.environ.pop(name, None) for name in _EXPERIMENT_VARIABLES}
    os.environ[_EXPERIMENT_VARIABLES[0]] = str(tracker.experiment_id)
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
