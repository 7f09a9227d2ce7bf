"""Makes the embedded MLflow store of a version, one process at a time, mends it and upgrades its
schema.

``python -m wine_quality.tracking.servers.embedded_store KEY`` does it for a server that is to open
it.

MLflow makes the tables without a lock: two processes that open an empty store at once spoil each
other, and tables ``_alembic_tmp_…`` may stay, on which a later ``mlflow db upgrade`` stumbles. Here
the tables are made in another file, which becomes the store when it is whole.
"""

from __future__ import annotations

import fcntl
import os
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import embedded_store
from wine_quality.tracking.servers.store_schema import needs_upgrade, upgrade_store

DATABASE = "mlflow.db"
ARTIFACTS = "artifacts"
_LEFT_OVER = r"_alembic_tmp_"
_BUSY_SECONDS = 30
_ROOT_FOR_NOW = "s3://none"  # no folder is made for it


def embedded_uri(key: str) -> str:
    """The tracking URI of a version's embedded store."""
    return f"sqlite:///{embedded_store(key) / DATABASE}"


def needs_preparing(key: str) -> bool:
    """Whether ``prepare`` has something to do. Needs no MLflow, and takes milliseconds."""
    database = embedded_store(key) / DATABASE
    if not _is_made(database) or _left_over(database):
        return True
    return needs_upgrade(database, MLFLOW_VERSIONS[key])


def prepare(key: str, say: Callable[[str], None]) -> None:
    """Make the store if it is not there, remove what an interrupted migration left in it, upgrade
    its schema to that of this MLflow. In a process of that version.

    Args:
        say: Gets a line on what was upgraded.

    Raises:
        StoreSchemaError: the schema cannot be upgraded, or not now.
        Exception: MLflow's own, or that of the file system.
    """
    if not needs_preparing(key):
        return
    folder = embedded_store(key)
    folder.mkdir(parents=True, exist_ok=True)
    with alone(folder):
        database = folder / DATABASE
        if not _is_made(database):
            _make(database)
        for table in _left_over(database):
            _remove(database, table)
        if needs_upgrade(database, MLFLOW_VERSIONS[key]):
            upgrade_store(database, MLFLOW_VERSIONS[key], say)


def _is_made(database: Path) -> bool:
    """An empty file is what an interrupted MLflow leaves before its first table."""
    try:
        return database.stat().st_size > 0
    except OSError:
        return False


def _make(database: Path) -> None:
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    fresh = database.with_suffix(".new")
    for left in (fresh, Path(f"{fresh}-journal")):
        left.unlink(missing_ok=True)
    # MLflow 1.26 writes the root into SQL as it is, where an apostrophe ends the text.
    store = SqlAlchemyStore(f"sqlite:///{fresh}", _ROOT_FOR_NOW)
    store.engine.dispose()
    root = database.parent / ARTIFACTS
    with closing(sqlite3.connect(fresh)) as connection, connection:
        connection.execute("UPDATE experiments SET artifact_location = ?", (f"{root}/0",))
    root.mkdir(exist_ok=True)  # as MLflow does for a root that is a folder
    fresh.rename(database)


def _left_over(database: Path) -> list[str]:
    """Temporary tables of an interrupted migration whose own table is there."""
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection:
        try:
            rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
            names = {name for (name,) in rows}
        except sqlite3.DatabaseError:
            return []  # MLflow reports what is wrong with it
    return sorted(
        name
        for name in names
        if name.startswith(_LEFT_OVER) and name.removeprefix(_LEFT_OVER) in names
    )


def _remove(database: Path, table: str) -> None:
    """A copy that was given up. Where its own table is gone it may hold the only rows: it stays."""
    with closing(sqlite3.connect(database, timeout=_BUSY_SECONDS)) as connection, connection:
        connection.execute(f'DROP TABLE IF EXISTS "{table}"')


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """While no other process prepares this store."""
    with (folder / ".preparing.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        yield


if __name__ == "__main__":
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    prepare(sys.argv[1], print)
