"""Upgrades the schema of an embedded store when the lock of its MLflow has moved.

MLflow itself upgrades a store where a table is missing, in place and without a copy; where only a
column is missing it refuses to open it. Here a copy is upgraded, and takes the store's place by one
rename. What the store was stays beside it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.tracking.servers.migrations import migrations_of, revision_in
from wine_quality.tracking.servers.openers import opened_by
from wine_quality.tracking.servers.server_check import TrackingServerError

_BUSY_SECONDS = 30
_READERS_SECONDS = 10
_POLL_SECONDS = 0.2


class StoreSchemaError(TrackingServerError):
    """The store has a schema that this MLflow cannot use; the message names the next step."""


def needs_upgrade(database: Path, version: MlflowVersion) -> bool:
    """Whether the schema is another one than the version's MLflow works with."""
    newest = migrations_of(version).newest
    return bool(newest) and revision_in(database) not in ("", newest)


def upgrade_store(database: Path, version: MlflowVersion, say: Callable[[str], None]) -> None:
    """In a process of that version, while no other one prepares the store.

    Raises:
        StoreSchemaError: a newer MLflow made the schema, or another process uses the store.
        Exception: MLflow's own, or the file system's; the store is as it was.
    """
    revision = revision_in(database)
    _require_known(database, revision, version)
    _await_unopened(database)
    before = _last_written(database)
    kept = kept_copy(database, revision)
    staged = database.with_name(f"{database.name}.upgrading")
    for left in (staged, Path(f"{staged}-journal")):
        left.unlink(missing_ok=True)
    _copy(database, kept)
    _copy(kept, staged)
    _upgrade_schema(f"sqlite:///{staged}")
    _flush(staged)
    _await_unopened(database)
    if _last_written(database) != before:
        raise StoreSchemaError(
            f"the schema of {database} has to be upgraded, and another process wrote to it "
            "meanwhile. End that, and do this again."
        )
    staged.replace(database)
    say(
        f"The schema of {database} was upgraded for the MLflow {version.key} of this environment "
        f"({revision} to {revision_in(database)}). As it was before, it is in {kept}."
    )


def kept_copy(database: Path, revision: str) -> Path:
    """The copy of the store from before its schema was upgraded."""
    return database.with_name(f"{database.name}.schema-{revision}")


def _require_known(database: Path, revision: str, version: MlflowVersion) -> None:
    migrations = migrations_of(version)
    if revision in migrations.known:
        return
    earlier = sorted(database.parent.glob(f"{database.name}.schema-*"))
    usable = [str(one) for one in earlier if one.name.rpartition("-")[2] in migrations.known]
    back = f" What it was before it was upgraded: {', '.join(usable)}." if usable else ""
    raise StoreSchemaError(
        f"{database} has the schema {revision}, which the MLflow {version.key} of this environment "
        f"does not know: a newer release has upgraded it. Use the checkout that did.{back}"
    )


def _await_unopened(database: Path) -> None:
    """Until nobody else has it open: whoever looks at its revision has, for a moment."""
    deadline = time.monotonic() + _READERS_SECONDS
    while readers := opened_by(database):
        if time.monotonic() >= deadline:
            raise StoreSchemaError(
                f"the schema of {database} has to be upgraded, and it is open in "
                f"{', '.join(readers)}. End that, and do this again."
            )
        time.sleep(_POLL_SECONDS)


def _last_written(database: Path) -> tuple[int, int]:
    state = database.stat()
    return state.st_mtime_ns, state.st_size


def _copy(source: Path, target: Path) -> None:
    """By sqlite's own backup; whole or not there."""
    fresh = target.with_name(f"{target.name}.new")
    fresh.unlink(missing_ok=True)
    with (
        closing(sqlite3.connect(source, timeout=_BUSY_SECONDS)) as store,
        closing(sqlite3.connect(fresh)) as copy,
    ):
        store.backup(copy)
    _flush(fresh)
    fresh.replace(target)


def _upgrade_schema(uri: str) -> None:
    from mlflow.cli import cli

    cli(["db", "upgrade", uri], standalone_mode=False)


def _flush(database: Path) -> None:
    with database.open("rb") as file:
        os.fsync(file.fileno())
