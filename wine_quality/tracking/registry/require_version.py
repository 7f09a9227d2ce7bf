"""The check of a version that a person names as champion."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dagster import Failure

from wine_quality.tracking.registry.provenance import UntrustedModelError

if TYPE_CHECKING:
    from wine_quality.tracking.registry.champion import ChampionRegistry
    from wine_quality.tracking.tracker import Tracker


def require_version(tracker: Tracker, registry: ChampionRegistry, version: str) -> None:
    """Check that the version exists and may be loaded, as a champion must.

    Raises:
        Failure: it does not, or may not.
    """
    if not version.isdigit() or registry.version(version) is None:
        raise Failure(f"{registry.name} has no version {version!r}.", allow_retries=False)
    try:
        tracker.require_trusted(registry.name, version)
    except UntrustedModelError as error:
        raise Failure(str(error), allow_retries=False) from error
