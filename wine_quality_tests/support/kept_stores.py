"""Stores of Dagster and MLflow in sqlite that are opened with what was computed once for all forks.

Tests have hundreds of homes, each with stores of its own. One that is there already, is upgraded,
or is in PostgreSQL, is opened as ever.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sqlite3
import sys
import tempfile
from pathlib import Path
from typing import Any


def keep() -> None:
    """Have forks of this process open stores with what is computed here."""
    if "dagster" not in sys.modules:  # an environment that only serves models
        return
    _keep_revisions()
    _keep_engines()
    _keep_dagsters_tables()
    _keep_mlflows_tables()


def _keep_revisions() -> None:
    """Have the revisions of Dagster's sqlite schemas read once.

    Alembic loads its sixty files each time that one of the three stores is opened, with each tick
    of a sensor: more than half of the CPU of a code server that has nothing else to do.
    """
    from dagster._core.storage import sql
    from dagster._core.storage.runs.sqlite import sqlite_run_storage

    kept: dict[str | None, sql.ScriptDirectory] = {}

    class KeptRevisions(sql.ScriptDirectory):
        @classmethod
        def from_config(cls, config: sql.Config) -> sql.ScriptDirectory:
            place = config.get_main_option("script_location")
            if place not in kept:
                kept[place] = super().from_config(config)
            return kept[place]

    sql.ScriptDirectory = KeptRevisions  # type: ignore[misc]
    config = sql.get_alembic_config(sqlite_run_storage.__file__)
    KeptRevisions.from_config(config).as_revision_number("head")


def _keep_engines() -> None:
    """Have Dagster's sqlite stores use one engine for each database.

    They make one for each access. It is half of the time in which an event is written: SQLAlchemy
    keeps with the engine how each statement is compiled.
    """
    from dagster._core.storage.event_log.sqlite import sqlite_event_log
    from dagster._core.storage.runs.sqlite import sqlite_run_storage
    from dagster._core.storage.schedules.sqlite import sqlite_schedule_storage

    make = sqlite_run_storage.create_engine

    @functools.lru_cache(maxsize=64)
    def made(url: str, poolclass: type, timeout: float | None) -> Any:
        arguments = {} if timeout is None else {"timeout": timeout}
        return make(url, poolclass=poolclass, connect_args=arguments)

    def engine_of(url: str, poolclass: type, connect_args: dict[str, Any] | None = None) -> Any:
        return made(url, poolclass, **{"timeout": None, **(connect_args or {})})

    for module in (sqlite_event_log, sqlite_run_storage, sqlite_schedule_storage):
        module.create_engine = engine_of  # type: ignore[attr-defined]


def _keep_dagsters_tables() -> None:
    """Have Dagster make its tables once, in files of which those of a new home are copies."""
    from dagster._core.storage.event_log.sqlite.sqlite_event_log import SqliteEventLogStorage
    from dagster._core.storage.runs.sqlite import SqliteRunStorage
    from dagster._core.storage.schedules.sqlite import SqliteScheduleStorage

    files: dict[str, bytes] = {}
    with tempfile.TemporaryDirectory() as folder:
        SqliteRunStorage.from_local(folder)
        SqliteScheduleStorage.from_local(folder)
        with SqliteEventLogStorage(folder).run_connection("a_run"):
            pass
        for name in ("runs", "schedules", "index", "a_run"):
            with contextlib.closing(sqlite3.connect(f"{folder}/{name}.db")) as made:
                made.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            files[name] = Path(folder, f"{name}.db").read_bytes()

    for name, storage in (("runs", SqliteRunStorage), ("schedules", SqliteScheduleStorage)):
        storage.from_local = _copying(storage.from_local, f"{name}.db", files[name])  # type: ignore[method-assign, assignment]
    initialize = SqliteEventLogStorage._initdb

    def initialize_database(self: Any, engine: Any, for_index_shard: bool = False) -> None:
        _copy(files["index" if for_index_shard else "a_run"], Path(engine.url.database))
        initialize(self, engine, for_index_shard)

    SqliteEventLogStorage._initdb = initialize_database  # type: ignore[method-assign]


def _copying(open_store: Any, file: str, whole: bytes) -> classmethod:
    def from_local(cls: Any, base_dir: str, inst_data: Any = None) -> Any:
        os.makedirs(base_dir, exist_ok=True)
        _copy(whole, Path(base_dir, file))
        return open_store.__func__(cls, base_dir, inst_data)

    return classmethod(from_local)


def _copy(whole: bytes, database: Path) -> None:
    """Unless it is there: another process may be making it, too."""
    if database.exists():
        return
    file, name = tempfile.mkstemp(dir=database.parent)
    with open(file, "wb") as copy:
        copy.write(whole)
    with contextlib.suppress(FileExistsError):
        os.link(name, database)
    os.unlink(name)


def _keep_mlflows_tables() -> None:
    """Have MLflow make its tables once, in a database of which an empty one becomes a copy.

    Its fifty migrations take a third of the CPU of a first run.
    """
    import mlflow.store.db.utils as stores
    import mlflow.store.model_registry.sqlalchemy_store as registry
    import sqlalchemy

    stores._get_latest_schema_revision = functools.cache(stores._get_latest_schema_revision)
    stores._get_latest_schema_revision()
    initialize = stores._initialize_tables
    whole = sqlite3.connect(":memory:", check_same_thread=False)
    with tempfile.TemporaryDirectory() as folder:
        # In a fork: the migrations set up the logging of their process.
        if (pid := os.fork()) == 0:
            initialize(sqlalchemy.create_engine(f"sqlite:///{folder}/mlflow.db"))
            os._exit(0)
        os.waitpid(pid, 0)
        with contextlib.closing(sqlite3.connect(f"{folder}/mlflow.db")) as made:
            made.backup(whole)

    def initialize_tables(engine: Any) -> None:
        if engine.dialect.name != "sqlite" or sqlalchemy.inspect(engine).get_table_names():
            initialize(engine)
            return
        with contextlib.closing(sqlite3.connect(engine.url.database)) as empty:
            whole.backup(empty)

    for module in (stores, registry):  # MLflow 3's registry imports it by name
        module._initialize_tables = initialize_tables  # type: ignore[attr-defined]
