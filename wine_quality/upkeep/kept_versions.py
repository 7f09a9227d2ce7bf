"""Which model versions are old enough to go, and which runs the others hold.

A version stays when it has a role, ever was champion (a rollback may return to it), was withdrawn,
is being decided on, was not registered by this project, or is younger than the limit.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from wine_quality.tracking.registry.all_versions import all_versions
from wine_quality.tracking.registry.champion import (
    DECISION_TAG,
    NONE,
    OPEN,
    PREVIOUS_TAG,
    WITHDRAWN_TAG,
)
from wine_quality.tracking.registry.registered_model import RegisteredModel
from wine_quality.tracking.runs.run_tags import RUN_TAG

_STAGES_IN_USE = ("Production", "Staging")
_RUN_ID = re.compile(r"[0-9a-f]{32}")


@dataclass
class RegistryVersions:
    """Model versions and runs by the registry: which may be removed, and which are needed.

    Attributes:
        old: Versions that may go, by the id of their run ("" for those without one).
        held: Ids of runs that other versions of any model need.
        kept: How many versions of the model stay.
    """

    old: dict[str, list[str]] = field(default_factory=dict)
    held: set[str] = field(default_factory=set)
    kept: int = 0


def read_registry_versions(
    client: Any, model: str, before: int, say: Callable[[str], None]
) -> RegistryVersions:
    """Read the registry, page by page; of each version only its number and run are kept.

    Args:
        client: An ``MlflowClient``.
        before: Milliseconds since 1970: versions that are younger stay.
        say: Gets a line of progress now and then.
    """
    in_use = _aliased(client, model)
    found = RegistryVersions()
    replaced: set[str] = set()
    numbers: dict[str, str] = {}
    for version in all_versions(client, say):
        if version.name == model:
            replaced.add(version.tags.get(PREVIOUS_TAG, NONE))
            if str(version.version) not in in_use and may_go(version, before):
                numbers[str(version.version)] = version.run_id or ""
                continue
            found.kept += 1
        found.held |= _runs_behind(client, version)
    for number, run_id in numbers.items():
        if number in replaced:
            # Another version replaced it as champion, so it was champion itself.
            found.kept += 1
            found.held.add(run_id)
        else:
            found.old.setdefault(run_id, []).append(number)
    return found


def may_go(version: Any, before: int) -> bool:
    """Whether no tag, stage, alias or date of the version is a reason to keep it.

    MLflow gives the aliases of a version that is read by itself, not of one found by a search.
    """
    tags = version.tags
    touched = max(version.creation_timestamp, version.last_updated_timestamp or 0)
    return (
        RUN_TAG in tags
        and tags.get(DECISION_TAG) != OPEN
        and PREVIOUS_TAG not in tags
        and WITHDRAWN_TAG not in tags
        and getattr(version, "current_stage", None) not in _STAGES_IN_USE
        and not getattr(version, "aliases", None)
        and touched < before
    )


def _aliased(client: Any, model: str) -> set[str]:
    """Versions of a model with any alias; none where this MLflow has no aliases."""
    state = RegisteredModel(client, model).read()
    return set((state and state.aliases or {}).values())


def _runs_behind(client: Any, version: Any) -> set[str]:
    """Its run, and those whose files its source names: other tools register without a run."""
    runs = {version.run_id} if version.run_id else set()
    source = version.source or ""
    runs.update(_RUN_ID.findall(source.replace("m-", "")) if "models:/" not in source else ())
    if not version.run_id and source.startswith("models:/m-"):
        from mlflow.exceptions import MlflowException

        try:
            model = client.get_logged_model(source.rpartition("/")[2])
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
        else:
            runs.add(model.source_run_id or "")
    return runs
