"""Where everything local lives."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.environments.versions import PROJECT_ROOT

if TYPE_CHECKING:
    from dagster import DagsterInstance


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


def up_state() -> Path:
    """Where `make up` over this home notes its addresses and processes while it runs."""
    return home() / "up" / "state.json"


def running_ui() -> str | None:
    """The Dagster UI's address of the `make up` that runs over this home."""
    try:
        state = json.loads(up_state().read_text())
        os.kill(state["pid"], 0)  # what a machine that went down left is not removed
        return str(state["dagster"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def dagster_home_in_use() -> Path:
    """``$DAGSTER_HOME``, else the one in ``home()``."""
    configured = os.environ.get("DAGSTER_HOME")
    return Path(configured) if configured else dagster_home()


_MADE = ".stores_made"
_LABELLED = ".runs_labelled"


def stores_are_made(folder: Path) -> bool:
    """Whether a Dagster home has been opened before."""
    return (folder / _MADE).exists()


def is_up_to_date(folder: Path) -> bool:
    """Whether a Dagster home has been opened by a commit that labels runs."""
    return stores_are_made(folder) and (folder / _LABELLED).exists()


@contextmanager
def _new_stores(folder: Path) -> Iterator[None]:
    """Hold this while the stores of a Dagster home are opened for the first time.

    Two processes that make its sqlite stores at the same moment spoil them (``UNIQUE constraint
    failed: alembic_version``).
    """
    made = folder / _MADE
    try:
        guard = None if made.exists() else (folder / f"{_MADE}.lock").open("w")
    except OSError:
        guard = None  # somebody else's home, where we may not write
    if guard is None:
        yield
        return
    with guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield
        made.touch()


def open_dagster(folder: Path | None = None) -> DagsterInstance:
    """The instance of a home ($DAGSTER_HOME's when None), its stores made one process at a time."""
    from dagster import DagsterInstance

    at = folder or Path(os.environ["DAGSTER_HOME"])
    with _new_stores(at):
        instance = DagsterInstance.from_config(str(folder)) if folder else DagsterInstance.get()
        # Stores are made when they are first used.
        instance.get_runs(limit=1)
        instance.all_instigator_state()
    if not (at / _LABELLED).exists():
        from wine_quality.upkeep.label_runs import label_runs

        label_runs(instance)
        with suppress(OSError):  # somebody else's home, where we may not write
            (at / _LABELLED).touch()
    return instance
