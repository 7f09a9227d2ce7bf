"""Event logs on sqlite whose connections are kept, for processes that write the log of one run.

Dagster opens the run's database anew for each event: an engine, a connection, and at its close the
transfer of what was written to the main file. That is 4 ms of processor time and two more waits
for the disk, a hundred times a run.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy.engine import Connection, Engine


def keep_connections(instance: DagsterInstance) -> None:
    """Keep connections until the instance is disposed of; other storages stay as they are."""
    storage: Any = instance.event_log_storage
    # By its name: its module costs what a process that needs no storage should not pay.
    if type(storage).__name__ == "SqliteEventLogStorage":
        storage._engines = {}
        storage.__class__ = _with_kept_connections(type(storage))


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


def _engine(address: str) -> Engine:
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    arguments = {"timeout": 30, "check_same_thread": False}
    return create_engine(address, poolclass=StaticPool, connect_args=arguments)
