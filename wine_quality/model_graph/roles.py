"""Jobs by which a person promotes a version of a model, or returns to the champion before."""

from typing import Any

from dagster import Failure, GraphDefinition, JobDefinition, OpExecutionContext, op
from pydantic import Field, create_model

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.execution.executor import mlflow_environment_executor
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.tracking.registry.champion import (
    CHALLENGER,
    CHAMPION,
    NONE,
    PREVIOUS_TAG,
    WITHDRAWN_TAG,
    ChampionRegistry,
)
from wine_quality.tracking.registry.promotion_note import note_promotion
from wine_quality.tracking.registry.require_version import require_version
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import server_named


def _config_class(plan: ModelPlan, empty: str) -> Any:
    fields: dict[str, Any] = {
        "version": (
            str,
            Field(default="", description=f"Number of the version. Empty: {empty}."),
        )
    }
    if plan.segment_by:
        fields["segment"] = (
            str,
            Field(description=f"Whose model: a value of {plan.segment_by}."),
        )
    return create_model(f"{plan.name}_version_choice", __base__=CheckedConfig, **fields)


def _registry(plan: ModelPlan, mlflow: MlflowTracker, config: Any) -> ChampionRegistry:
    segment = config.segment if plan.segment_by else None
    if segment is not None and segment not in plan.dataset.segments(plan.segment_by):
        known = ", ".join(plan.dataset.segments(plan.segment_by))
        raise Failure(f"segment is {segment!r}; it must be one of {known}", allow_retries=False)
    return mlflow.tracker.registry(plan.registered_name(mlflow.registered_model_name, segment))


def promotion_job(plan: ModelPlan) -> JobDefinition:
    """``<name>_promotion``: makes the challenger, or a version that is named, the champion."""
    config_class: Any = _config_class(plan, "the challenger")

    @op(name=f"{plan.name}_promote_version")
    def promote(context: OpExecutionContext, config: config_class, mlflow: MlflowTracker) -> None:
        with server_named():
            registry = _registry(plan, mlflow, config)
            version = config.version or registry.holder(CHALLENGER)
            if version is None:
                raise Failure(f"{registry.name} has no challenger.", allow_retries=False)
            require_version(mlflow.tracker, registry, version)
            before = registry.adopt(CHAMPION, context.log.info)
            if before != version:
                registry.crown(version, before)
                note_promotion(context, mlflow.tracker, registry.name, version, before)
            _report(context, registry.name, version, before)

    return _job(
        plan,
        "promotion",
        promote,
        "Makes the challenger, or a version that is named, the champion.",
    )


def rollback_job(plan: ModelPlan) -> JobDefinition:
    """``<name>_rollback``: the champion before, or a version that is named, is champion again."""
    config_class: Any = _config_class(plan, "the champion before")

    @op(name=f"{plan.name}_return_to_version")
    def give_back(context: OpExecutionContext, config: config_class, mlflow: MlflowTracker) -> None:
        with server_named():
            registry = _registry(plan, mlflow, config)
            current = registry.adopt(CHAMPION, context.log.info)
            holder = None if current is None else registry.version(current)
            if current is None or holder is None:
                raise Failure(f"{registry.name} has no champion.", allow_retries=False)
            version = config.version or holder.tags.get(PREVIOUS_TAG, NONE)
            if version in (NONE, current):
                raise Failure(
                    f"{registry.name} version {current} replaced no other version. Name the one "
                    "to return to in config.version.",
                    allow_retries=False,
                )
            require_version(mlflow.tracker, registry, version)
            # Withdrawn first: a run that is deciding just now must not make it champion again.
            registry.tag(current, WITHDRAWN_TAG, f"for {version}")
            registry.give(CHAMPION, version)
            tracker = mlflow.tracker
            note_promotion(context, tracker, registry.name, version, current, withdrawn=True)
            _report(context, registry.name, version, current)

    return _job(
        plan,
        "rollback",
        give_back,
        "Withdraws the champion: the one before it, or a version that is named, is champion again.",
    )


def _job(plan: ModelPlan, name: str, step: Any, description: str) -> JobDefinition:
    graph = GraphDefinition(name=f"{plan.name}_{name}", node_defs=[step], description=description)
    tracking = plan.tracking.definitions()
    return graph.to_job(
        name=graph.name,
        description=description,
        resource_defs=dict(tracking.resources or {}),
        executor_def=mlflow_environment_executor,
    )


def _report(context: OpExecutionContext, name: str, version: str, before: str | None) -> None:
    context.log.info(f"{name} version {version} is the champion, after {before or NONE}.")
    context.add_output_metadata({"model": name, "champion": version, "before": before or NONE})
