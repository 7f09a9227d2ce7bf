"""Dagster's stores in PostgreSQL with connections that are used again.

Dagster connects anew for each question, except in its webserver. With PostgreSQL's passwords that
takes some 8 ms of processor time: most of what an idle daemon did, and half of a short run.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from sqlalchemy.engine import Engine

_RECYCLE_SECONDS = 60
"""Firewalls that forget idle connections do so later than this."""
_MOST_BESIDE = 20
"""Connections beside the first, while as many threads ask at once; they are closed after it."""
_engines: weakref.WeakSet[Engine] = weakref.WeakSet()


def pool_connections(instance: DagsterInstance) -> None:
    """Keep one connection for each store of this instance that is in PostgreSQL, until the
    instance is disposed of; other stores stay as they are.

    Each is tried before it is used: one that a restart of PostgreSQL has closed is replaced.
    """
    # What Dagster disposes of last.
    last: Any = instance.event_log_storage
    stores = (instance.run_storage, instance.schedule_storage, last)
    pooled = [_pooled(store) for store in stores if _connects_each_time(store)]
    if not pooled:
        return
    dispose = last.dispose

    def dispose_engines() -> None:
        dispose()
        for engine in pooled:
            engine.dispose()

    last.dispose = dispose_engines


def _connects_each_time(store: Any) -> bool:
    # By its name: the module costs what an instance without PostgreSQL should not pay.
    if not type(store).__module__.startswith("dagster_postgres."):
        return False
    from sqlalchemy.pool import NullPool

    return isinstance(store._engine.pool, NullPool)


def _pooled(store: Any) -> Engine:
    """As ``optimize_for_webserver`` of the store does, but with no limit of a statement's time."""
    from dagster_postgres.utils import create_pg_engine

    store._engine = create_pg_engine(
        store.postgres_url,
        store._token_provider,
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        max_overflow=_MOST_BESIDE,
        pool_pre_ping=True,
        pool_recycle=_RECYCLE_SECONDS,
    )
    _engines.add(store._engine)
    return store._engine


def _leave_connections() -> None:
    """In a fork: they are those of the process that made them."""
    for engine in list(_engines):
        engine.dispose(close=False)


os.register_at_fork(after_in_child=_leave_connections)
