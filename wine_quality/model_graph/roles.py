"""Jobs by which a person promotes a version of a model, or returns to the champion before."""

from collections.abc import Callable
from typing import Any

from dagster import (
    DagsterRun,
    Failure,
    GraphDefinition,
    JobDefinition,
    OpExecutionContext,
    op,
)
from pydantic import Field, create_model

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.execution.executor import mlflow_environment_executor
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.tracking.registry.champion import NONE, ChampionRegistry
from wine_quality.tracking.registry.champion_change import (
    ChampionChange,
    ChampionHints,
    promote_version,
    return_to_version,
)
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server

_PARTITION_TAG = "dagster/partition"  # Dagster's own


def _config_class(plan: ModelPlan, empty: str) -> Any:
    described = Field(default="", description=f"Number of the version. Empty: {empty}.")
    return create_model(
        f"{plan.name}_version_choice",
        __base__=CheckedConfig,
        version=(str, described),
        **segment_field(plan),
    )


def segment_field(plan: ModelPlan) -> dict[str, Any]:
    """The field of run config by which a person names a model; none where there is one model."""
    if not plan.segment_by:
        return {}
    return {"segment": (str, Field(description=f"Whose model: a value of {plan.segment_by}."))}


def segment_or_partition_field(plan: ModelPlan) -> dict[str, Any]:
    """The same for a check, which is executed with its asset, too: there the partition is known.

    A field that must be given would keep people from materializing the asset in the UI.
    """
    if not plan.segment_by:
        return {}
    text = f"Whose model: a value of {plan.segment_by}. Empty: the run's partition."
    return {"segment": (str, Field(default="", description=text))}


def segment_or_partition(config: Any, run: DagsterRun) -> Any:
    """The config of a check, with the partition of the run where no segment is named."""
    if getattr(config, "segment", None) != "":
        return config
    return config.model_copy(update={"segment": run.tags.get(_PARTITION_TAG, "")})


def model_of(plan: ModelPlan, mlflow: MlflowTracker, config: Any) -> str:
    """Name of the registered model that config names.

    Raises:
        Failure: there is no such segment.
    """
    segment = config.segment if plan.segment_by else None
    if segment is not None and segment not in plan.dataset.segments(plan.segment_by):
        known = ", ".join(plan.dataset.segments(plan.segment_by))
        given = f"is {segment!r}; it must be" if segment else "is empty; name"
        raise Failure(f"segment {given} one of {known}", allow_retries=False)
    return plan.registered_name(mlflow.registered_model_name, segment)


def _registry(plan: ModelPlan, mlflow: MlflowTracker, config: Any) -> ChampionRegistry:
    return mlflow.tracker.registry(model_of(plan, mlflow, config))


def _hints(plan: ModelPlan) -> ChampionHints:
    return ChampionHints(
        no_challenger=f"Train one ({plan.name}), or name a version in config.version.",
        no_champion=f"{plan.name}_promotion makes one.",
        no_previous="Name the one to return to in config.version.",
    )


def promotion_job(plan: ModelPlan) -> JobDefinition:
    """``<name>_promotion``: makes the challenger, or a version that is named, the champion."""
    return _role_job(
        plan,
        "promotion",
        promote_version,
        "the challenger",
        "Makes the challenger, or a version that is named, the champion.",
    )


def rollback_job(plan: ModelPlan) -> JobDefinition:
    """``<name>_rollback``: the champion before, or a version that is named, is champion again."""
    return _role_job(
        plan,
        "rollback",
        return_to_version,
        "the champion before",
        "Withdraws the champion: the one before it, or a version that is named, is champion again.",
    )


def _role_job(
    plan: ModelPlan,
    name: str,
    change: Callable[..., ChampionChange],
    empty: str,
    description: str,
) -> JobDefinition:
    """A job of one op that calls ``change`` and reports it.

    Args:
        empty: The version that is taken where none is named.
    """
    config_class: Any = _config_class(plan, empty)

    @op(name=f"{plan.name}_{change.__name__}")
    def step(context: OpExecutionContext, config: config_class, mlflow: MlflowTracker) -> None:
        with name_failing_server():
            registry = _registry(plan, mlflow, config)
            done = change(context, mlflow.tracker, registry, config.version, _hints(plan))
            before = done.before or NONE
            context.add_output_metadata(
                {"model": registry.name, "champion": done.version, "before": before}
            )

    graph = GraphDefinition(name=f"{plan.name}_{name}", node_defs=[step], description=description)
    tracking = plan.tracking.definitions()
    return graph.to_job(
        name=graph.name,
        description=description,
        resource_defs=dict(tracking.resources or {}),
        executor_def=mlflow_environment_executor,
    )
