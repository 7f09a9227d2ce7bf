"""Tags that the functions of a plan's steps declare, where Dagster's plan lacks them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.tracking.step_tags import STEP_TAGS_ATTRIBUTE, declared_steps

if TYPE_CHECKING:
    from dagster import JobDefinition

    from wine_quality.dagster_support.dagster_private import ExecutionPlan


def declare_steps(run_id: str, job: JobDefinition, plan: ExecutionPlan) -> None:
    """Have this process know them while it executes the run."""
    found = {}
    for key in plan.step_keys_to_execute:
        definition = job.get_node(plan.get_step_by_key(key).node_handle).definition
        function = getattr(getattr(definition, "compute_fn", None), "decorated_fn", None)
        tags = getattr(function, STEP_TAGS_ATTRIBUTE, None)
        if tags:
            found[key] = tags
    declared_steps.set((run_id, found))
