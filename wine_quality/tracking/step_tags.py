"""What an asset or op has to do with an MLflow run, said by tags of its own.

They stand in the plan of each run (Dagster's execution plan snapshot), where the launcher, the
executor and the resource read them: none of these knows an asset by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_OPENS = "wine_quality/opens_mlflow_run"
_CONTINUES = "wine_quality/continues_mlflow_run_of"

StepTags = Mapping[str, Mapping[str, str]]
"""Tags of each step, by its key."""


def opens_mlflow_run() -> dict[str, str]:
    """``op_tags`` of an asset, or ``tags`` of an op, that trains a model in an MLflow run."""
    return {_OPENS: "true"}


def continues_mlflow_run_of(asset: str) -> dict[str, str]:
    """``op_tags`` of an asset that goes on with the MLflow run which another asset is of.

    A run that makes only the former takes the MLflow version that the latter was made with.
    """
    return {_CONTINUES: asset}


def planned_tags(instance: DagsterInstance, run: DagsterRun) -> StepTags:
    """Of the steps that a run is to execute. A plan made before there were tags has none."""
    if run.execution_plan_snapshot_id is None:
        return {}
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    executed = set(run.step_keys_to_execute or plan.step_keys_to_execute)
    return {step.key: step.tags or {} for step in plan.steps if step.key in executed}


def opens_one(steps: StepTags) -> bool:
    """Whether one of the steps opens an MLflow run."""
    return any(_OPENS in tags for tags in steps.values())


def continued_by(steps: StepTags) -> list[str]:
    """Assets of earlier runs whose MLflow runs the steps go on with, by the steps' order of names;
    none that is made by the steps themselves."""
    named = (steps[key].get(_CONTINUES) for key in sorted(steps))
    return [asset for asset in dict.fromkeys(named) if asset and asset not in steps]
