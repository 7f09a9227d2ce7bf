"""All databases of the stack as they are at one moment, while others go on writing.

PostgreSQL has snapshots of one database, none of several. Taken one after the other they are some
milliseconds apart: Dagster's first, for it names MLflow runs and is never named by them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager

from wine_quality.upkeep.data_services import DataServices


@contextmanager
def simultaneous_snapshots(services: DataServices) -> Iterator[tuple[dict[str, str], float]]:
    """Snapshots for ``pg_dump --snapshot``, by database, in the order taken; and seconds between
    the first and the last. They hold inside the ``with`` only."""
    with ExitStack() as stack:
        connections = {
            database: stack.enter_context(closing(services.connect(database)))
            for database, _ in services.databases()
        }
        for connection in connections.values():
            connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursors = {
            database: stack.enter_context(connection.cursor())
            for database, connection in connections.items()
        }
        snapshots = {}
        began = time.monotonic()
        for database, cursor in cursors.items():
            cursor.execute("SELECT pg_export_snapshot()")
            snapshots[database] = cursor.fetchone()[0]
        yield snapshots, time.monotonic() - began
