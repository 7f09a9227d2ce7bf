"""Where everything local lives."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path

from wine_quality.environments.versions import PROJECT_ROOT


def home() -> Path:
    """``$WINE_QUALITY_HOME``, else ``.wine_quality`` in the project."""
    return Path(os.environ.get("WINE_QUALITY_HOME") or PROJECT_ROOT / ".wine_quality").resolve()


def embedded_store(key: str) -> Path:
    """The folder of a version's embedded store; their database schemas differ, so one each."""
    return home() / f"mlflow-{key}"


def dagster_home() -> Path:
    """The Dagster instance folder, its ``dagster.yaml`` linked to the project's."""
    folder = home() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(PROJECT_ROOT / "dagster.yaml")
    return folder


def make_dagster_stores(folder: Path) -> None:
    """Have Dagster make its stores in a new home, one process at a time.

    Two that make its sqlite stores at the same moment spoil them (``UNIQUE constraint failed:
    alembic_version``).
    """
    made = folder / ".stores_made"
    if made.exists():
        return
    try:
        guard = (folder / ".stores_made.lock").open("w")
    except OSError:
        return  # somebody else's home, where we may not write
    with guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not made.exists():
            from dagster import DagsterInstance

            with DagsterInstance.from_config(str(folder)) as instance:
                instance.get_runs(limit=1)
                instance.all_instigator_state()
            made.touch()
