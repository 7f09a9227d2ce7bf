"""Tags of an asset or op that declare whether it opens or continues an MLflow run.

They stand in the plan of each run (Dagster's execution plan snapshot), where the launcher, the
executor and the resource read them: none of these knows an asset by name.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

STEP_TAGS_ATTRIBUTE = "_mlflow_step_tags"
"""Of a step's function: the tags that it declares (``tracking_api``)."""

_OPENS = "wine_quality/opens_mlflow_run"
_CONTINUES = "wine_quality/continues_mlflow_run_of"

StepTags = Mapping[str, Mapping[str, str]]
"""Tags of each step, by its key."""

declared_steps: ContextVar[tuple[str, StepTags] | None] = ContextVar("declared_steps", default=None)
"""Run id and tags that the code of the steps declares itself (``tracking_api``), set in the process
that has loaded it and executes the plan: a function cannot write tags into Dagster's plan."""


def opens_mlflow_run() -> dict[str, str]:
    """``op_tags`` of an asset, or ``tags`` of an op, that trains a model in an MLflow run."""
    return {_OPENS: "true"}


def continues_mlflow_run_of(asset: str) -> dict[str, str]:
    """``op_tags`` of an asset that goes on with the MLflow run which another asset is of.

    A run that makes only the former takes the MLflow version that the latter was made with.

    Args:
        asset: Its key, parts separated by slashes.
    """
    return {_CONTINUES: asset}


def planned_tags(instance: DagsterInstance, run: DagsterRun) -> StepTags:
    """Of the steps that a run is to execute. A plan made before there were tags has none."""
    if run.execution_plan_snapshot_id is None:
        return {}
    declared_for, declared = declared_steps.get() or ("", {})
    if declared_for != run.run_id:
        declared = {}
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    executed = set(run.step_keys_to_execute or plan.step_keys_to_execute)
    return {
        step.key: {**(step.tags or {}), **declared.get(step.key, {})}
        for step in plan.steps
        if step.key in executed
    }


def opens_one(steps: StepTags) -> bool:
    """Whether one of the steps opens an MLflow run."""
    return any(_OPENS in tags for tags in steps.values())


def continued_by(steps: StepTags) -> list[str]:
    """Assets of earlier runs whose MLflow runs the steps go on with, by the steps' order of names;
    none that is made by the steps themselves."""
    named = (steps[key].get(_CONTINUES) for key in sorted(steps))
    return [a for a in dict.fromkeys(named) if a and a.replace("/", "__") not in steps]
