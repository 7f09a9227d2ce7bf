"""Opens the Dagster instance of a home."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.dagster_support.label_runs import label_runs

if TYPE_CHECKING:
    from dagster import DagsterInstance

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
        label_runs(instance)
        with suppress(OSError):  # somebody else's home, where we may not write
            (at / _LABELLED).touch()
    return instance
