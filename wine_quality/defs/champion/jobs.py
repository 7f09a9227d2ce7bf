"""Jobs by which a person promotes a version, or returns to the champion before."""

from dagster import Failure, OpExecutionContext, graph, op
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
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
from wine_quality.tracking.registry.roles import RoleConflictError
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import server_named


class VersionConfig(CheckedConfig):
    """The version to promote or to go back to."""

    version: str = Field(
        default="",
        description="Number of the version. Empty: the challenger to promote, or the champion "
        "before to return to.",
    )


@op
@server_named()
def promote_version(
    context: OpExecutionContext, config: VersionConfig, mlflow: MlflowTracker
) -> None:
    """Makes a version the champion, by default the present challenger."""
    registry = mlflow.tracker.registry(mlflow.registered_model_name)
    version = config.version or registry.holder(CHALLENGER)
    if version is None:
        raise Failure(
            f"{registry.name} has no challenger. Train one (wine_quality_model), or name a version "
            "in ops.promote_version.config.version.",
            allow_retries=False,
        )
    require_version(mlflow.tracker, registry, version)
    before = _reigning(context, registry, config.version)
    if before == version:
        context.log.info(f"{registry.name} version {version} is the champion already.")
    else:
        registry.crown(version, before)
        note_promotion(context, mlflow.tracker, registry.name, version, before)
        context.log.info(f"{registry.name} version {version} is the champion, after {before}.")
    _report(context, mlflow, version, before)


@op
@server_named()
def return_to_version(
    context: OpExecutionContext, config: VersionConfig, mlflow: MlflowTracker
) -> None:
    """Withdraws the champion and crowns a former one, by default the one it replaced."""
    registry = mlflow.tracker.registry(mlflow.registered_model_name)
    current = _reigning(context, registry, config.version)
    if current is None:
        raise Failure(
            f"{registry.name} has no champion to roll back. wine_quality_promotion makes one.",
            allow_retries=False,
        )
    holder = registry.version(current)
    noted = holder.tags.get(PREVIOUS_TAG, NONE) if holder is not None else NONE
    version = config.version or noted
    if version in (NONE, current):
        raise Failure(
            f"{registry.name} version {current} replaced no other version. Name the one to return "
            "to: make rollback VERSION=…, or ops.return_to_version.config.version.",
            allow_retries=False,
        )
    require_version(mlflow.tracker, registry, version)
    # Withdrawn first: a run that is deciding just now must not crown it again.
    registry.tag(current, WITHDRAWN_TAG, f"for {version}")
    registry.give(CHAMPION, version)
    note_promotion(context, mlflow.tracker, registry.name, version, current, withdrawn=True)
    context.log.info(
        f"{registry.name} version {version} is the champion again; {current} is withdrawn."
    )
    _report(context, mlflow, version, current)


def _reigning(context: OpExecutionContext, registry: ChampionRegistry, decided: str) -> str | None:
    """The champion before; alias and stage agree on it afterwards.

    Args:
        decided: The version that a person named, or empty. It settles which of two is the champion.

    Raises:
        RoleConflictError: alias and stage name two, and nobody has decided.
    """
    try:
        return registry.adopt(CHAMPION, context.log.info)
    except RoleConflictError as conflict:
        if not decided:
            raise
        context.log.info(f"Version {decided} was named, which decides this: {conflict}")
        return conflict.stage if decided == conflict.alias else conflict.alias


def _report(
    context: OpExecutionContext, mlflow: MlflowTracker, version: str, before: str | None
) -> None:
    url = mlflow.tracker.model_version_url(mlflow.registered_model_name, version)
    context.add_output_metadata(
        {
            "model": mlflow.registered_model_name,
            "champion": version,
            "before": before or NONE,
            "champion_version": mlflow_link(url),
        }
    )


@graph
def promotion() -> None:
    promote_version()


@graph
def rollback() -> None:
    return_to_version()


wine_quality_promotion = promotion.to_job(
    name="wine_quality_promotion",
    description="Makes the challenger, or the given version, the champion. Needed where the policy "
    "is manual.",
)
wine_quality_rollback = rollback.to_job(
    name="wine_quality_rollback",
    description="Withdraws the champion; the one before it, or the given version, is champion "
    "again.",
)
