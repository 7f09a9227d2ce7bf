"""Jobs by which a person promotes a version, or returns to the champion before."""

from dagster import OpExecutionContext, graph, op
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.tracking.registry import champion_change
from wine_quality.tracking.registry.champion import NONE
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import name_failing_server

_HINTS = champion_change.ChampionHints(
    no_challenger="Train one (wine_quality_model), or name a version in "
    "ops.promote_version.config.version.",
    no_champion="wine_quality_promotion makes one.",
    no_previous="Name the one to return to: make rollback VERSION=…, or "
    "ops.return_to_version.config.version.",
)


class VersionConfig(CheckedConfig):
    """The version to promote or to go back to."""

    version: str = Field(
        default="",
        description="Number of the version. Empty: the challenger to promote, or the champion "
        "before to return to.",
    )


@op
@name_failing_server()
def promote_version(
    context: OpExecutionContext, config: VersionConfig, mlflow: MlflowTracker
) -> None:
    """Makes a version the champion, by default the present challenger."""
    registry = mlflow.tracker.registry(mlflow.registered_model_name)
    change = champion_change.promote_version(
        context, mlflow.tracker, registry, config.version, _HINTS
    )
    _report(context, mlflow, change)


@op
@name_failing_server()
def return_to_version(
    context: OpExecutionContext, config: VersionConfig, mlflow: MlflowTracker
) -> None:
    """Withdraws the champion and promotes a former one, by default the one it replaced."""
    registry = mlflow.tracker.registry(mlflow.registered_model_name)
    change = champion_change.return_to_version(
        context, mlflow.tracker, registry, config.version, _HINTS
    )
    _report(context, mlflow, change)


def _report(
    context: OpExecutionContext, mlflow: MlflowTracker, change: champion_change.ChampionChange
) -> None:
    url = mlflow.tracker.model_version_url(mlflow.registered_model_name, change.version)
    context.add_output_metadata(
        {
            "model": mlflow.registered_model_name,
            "champion": change.version,
            "before": change.before or NONE,
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
