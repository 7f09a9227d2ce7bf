"""Which MLflow version a run takes: the one function that decides it, and its cheap part.

In this order: what run config names; when the plan trains nothing, the version of the model that
it goes on with; what the deployment set. Standard library only at import.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.environments.mlflow_versions import (
    MLFLOW_VERSIONS,
    MlflowVersion,
    default_version,
    get_version,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun, EventLogEntry

VERSION_PATH = ("resources", "mlflow", "config", "version")
CLIENT_METADATA = "mlflow_client"

# Run id and version key, set in the process of a run's version before the run begins. The resource
# takes this version, though another run may have made a newer model since.
version_of_process: ContextVar[tuple[str, str] | None] = ContextVar(
    "version_of_process", default=None
)


@dataclass(frozen=True)
class ChosenVersion:
    """The version of a run.

    Attributes:
        followed: In words, what it was taken from, when run config names no version and the run
            goes on with an earlier one's model; None otherwise.
    """

    version: MlflowVersion
    followed: str | None = None

    @property
    def sentence(self) -> str:
        """For the log of a run that followed."""
        return (
            f"resources.mlflow.config.version is not in the run config, so this run goes on with "
            f"MLflow {self.version.key}, the version of {self.followed}."
        )


def named_version(run_config: Mapping[str, Any] | None) -> Any:
    """The value of ``resources.mlflow.config.version`` in raw run config; None where it is unset.

    Not only a key of the version table: anything can stand there, such as a number, or
    ``{"env": NAME}``.
    """
    found: Any = run_config
    for name in VERSION_PATH:
        found = found.get(name) if isinstance(found, Mapping) else None
    return found


def choose_version(
    instance: DagsterInstance, run: DagsterRun, configured: str | None = None
) -> ChosenVersion:
    """The version of a run that has a plan.

    Args:
        configured: The version in the resolved run config, that of the resource's definition where
            run config names none. None: ``$WINE_QUALITY_MLFLOW``, else the default.

    Raises:
        ValueError: run config names a version that there is not; the message lists those there are.
    """
    named = named_version(run.run_config)
    if isinstance(named, Mapping):
        named = configured or os.environ.get(str(named.get("env")))
    if named is not None:
        return ChosenVersion(get_version(configured or named))
    followed = _version_before(instance, run)
    return followed or ChosenVersion(get_version(configured or default_version()))


def _version_before(instance: DagsterInstance, run: DagsterRun) -> ChosenVersion | None:
    """The version of the model that the run continues; None when it trains one, or needs none."""
    from wine_quality.dagster_support.run_tag_names import MLFLOW_VERSION_TAG
    from wine_quality.tracking.runs.lifecycle import resumption_of
    from wine_quality.tracking.step_tags import continued_by, opens_one, planned_tags

    if run.parent_run_id and resumption_of(instance, run).run_id:
        # It takes the MLflow run of the failed one up again.
        parent = instance.get_run_by_id(run.parent_run_id)
        found = _known(parent.tags.get(MLFLOW_VERSION_TAG) if parent else None)
        if found is not None:
            return ChosenVersion(found, f"run {run.parent_run_id}, which it re-executes")
    steps = planned_tags(instance, run)
    if opens_one(steps):
        return None
    return continued_version(instance, continued_by(steps), run.parent_run_id)


def continued_version(
    instance: DagsterInstance, assets: Iterable[str], parent_run_id: str | None = None
) -> ChosenVersion | None:
    """The version that the first of these assets was made with; None when none was made yet.

    Args:
        assets: Those whose MLflow runs are gone on with.
        parent_run_id: Of the run that is re-executed, whose values come first.
    """
    for asset in assets:
        for made in _materializations(instance, parent_run_id, asset):
            found = _version_of(instance, made)
            if found is not None:
                return ChosenVersion(found, f"{asset} of run {made.run_id}")
    return None


def _materializations(
    instance: DagsterInstance, parent_id: str | None, asset: str
) -> Iterator[EventLogEntry]:
    """An asset's materializations in the order in which values are loaded: those of the parent run
    and its parents, then the newest."""
    from dagster import AssetKey, DagsterEventType

    key = AssetKey.from_user_string(asset)
    while parent_id is not None:
        made = instance.all_logs(parent_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
        yield from (entry for entry in made if entry.get_dagster_event().asset_key == key)
        parent = instance.get_run_by_id(parent_id)
        parent_id = parent.parent_run_id if parent else None
    newest = instance.get_latest_materialization_event(key)
    if newest is not None:
        yield newest


def _version_of(instance: DagsterInstance, made: EventLogEntry) -> MlflowVersion | None:
    """The version that an asset was made with."""
    from wine_quality.dagster_support.run_tag_names import MLFLOW_VERSION_TAG

    materialization = made.asset_materialization
    assert materialization is not None
    client = materialization.metadata.get(CLIENT_METADATA)
    if client is not None:
        return next(
            (v for v in MLFLOW_VERSIONS.values() if str(client.value).startswith(v.client)), None
        )
    made_by = instance.get_run_by_id(made.run_id)
    return _known(made_by.tags.get(MLFLOW_VERSION_TAG) if made_by else None)


def _known(key: str | None) -> MlflowVersion | None:
    return MLFLOW_VERSIONS.get(key) if key else None
