"""Dagster's storages with engines that are kept, for processes that write one run's log.

In sqlite, Dagster opens the run's event log anew for each event: an engine, a connection, and at
its close the transfer of what was written to the main file. That is 4 ms of processor time and two
more waits for the disk, a hundred times a run. The store of runs is opened anew for each question,
too, and with each engine SQLAlchemy compiles the statement again: 10 ms in place of 2.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy.engine import Connection, Engine


def keep_connections(instance: DagsterInstance) -> None:
    """Keep connections until the instance is disposed of; other storages stay as they are."""
    from wine_quality.dagster_support.pooled_postgres import pool_connections

    pool_connections(instance)
    # By their names: the modules cost what a process that needs no storage should not pay.
    storage: Any = instance.event_log_storage
    if type(storage).__name__ == "SqliteEventLogStorage":
        storage._engines = {}
        storage.__class__ = _with_kept_connections(type(storage))
    runs: Any = instance.run_storage
    if type(runs).__name__ == "SqliteRunStorage":
        runs.__class__ = _with_kept_engine(type(runs))


def _with_kept_connections(dagster_storage: Any) -> Any:
    """Dagster's class with one engine and one connection for each database that it opens."""

    class KeptConnections(dagster_storage):
        @contextmanager
        def _connect(self, shard: str) -> Iterator[Connection]:
            # As in Dagster's: one connection is in use at a time, by whichever thread.
            with self._db_lock:
                if shard not in self._engines:
                    engine = _engine(self.conn_string_for_shard(shard))
                    if shard not in self._initialized_dbs:
                        self._initdb(engine)
                        self._initialized_dbs.add(shard)
                    self._engines[shard] = engine
                with self._engines[shard].connect() as connection, connection.begin():
                    yield connection

        def dispose(self) -> None:
            for engine in self._engines.values():
                engine.dispose()
            self._engines.clear()
            super().dispose()

    return KeptConnections


def _with_kept_engine(dagster_storage: Any) -> Any:
    """Dagster's class with one engine; a connection is made for each question, as in Dagster's."""

    class KeptEngine(dagster_storage):
        @cached_property
        def _engine(self) -> Engine:
            from sqlalchemy import create_engine
            from sqlalchemy.pool import NullPool

            return create_engine(self._conn_string, poolclass=NullPool)

        @cached_property
        def _has_columns(self) -> bool:
            return super().has_run_stats_index_cols()

        @contextmanager
        def connect(self) -> Iterator[Connection]:
            with self._engine.connect() as connection, connection.begin():
                yield connection

        def has_run_stats_index_cols(self) -> bool:
            return self._has_columns

    return KeptEngine


def _engine(address: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    arguments = {"timeout": 30, "check_same_thread": False}
    return create_engine(address, poolclass=StaticPool, connect_args=arguments)
