"""How long rows are kept, and when they are compressed: by TimescaleDB itself, or by a DELETE.

TimescaleDB drops and compresses whole chunks (``timescale.CHUNKS``), by jobs of its own; a row may
stay as much longer as a chunk is long. In plain tables, and in hypertables of the Apache
edition, rows are deleted when this is called.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.escaping import ProjectError
from wine_quality.metrics_history import timescale
from wine_quality.metrics_history.table import PREDICTIONS, SCHEMA, TABLE
from wine_quality.settings.platform import (
    COMPRESS_DAYS,
    KEEP_METRICS_DAYS,
    KEEP_PREDICTIONS_DAYS,
)

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

    from wine_quality.metrics_history.database import MetricsDatabase

VARIABLES = {
    "keep_predictions": KEEP_PREDICTIONS_DAYS,
    "keep_metrics": KEEP_METRICS_DAYS,
    "compress_after": COMPRESS_DAYS,
}
SECONDS = 600.0
"""To delete the rows of years, once."""


class PolicyError(ProjectError, ValueError):
    """A setting is not a number of days, or rows would be deleted before they are compressed."""


@dataclass(frozen=True)
class Policies:
    """Whole days; None: no such policy.

    Attributes:
        keep_predictions: Predictions that are older are deleted.
        keep_metrics: Metrics of registered versions that are older are deleted.
        compress_after: Chunks of both tables that are older are compressed.
    """

    keep_predictions: int | None = None
    keep_metrics: int | None = None
    compress_after: int | None = None

    def kept(self) -> dict[str, int | None]:
        """Days by table."""
        return {PREDICTIONS: self.keep_predictions, TABLE: self.keep_metrics}


def read_policies(variables: Mapping[str, str] = os.environ) -> Policies:
    """The policies from ``VARIABLES``; an empty variable means no policy.

    Raises:
        PolicyError: see there.
    """
    days = {field: _days(name, variables.get(name, "")) for field, name in VARIABLES.items()}
    policies = Policies(**days)
    for table, kept in policies.kept().items():
        if kept is not None and policies.compress_after and policies.compress_after >= kept:
            raise PolicyError(
                f"{VARIABLES['compress_after']} is {policies.compress_after}, but rows of {table} "
                f"are deleted after {kept} days already."
            )
    return policies


def _days(name: str, text: str) -> int | None:
    if not text.strip():
        return None
    if not text.strip().isdecimal() or not 1 <= int(text) <= 36_500:
        raise PolicyError(f"{name} is {text!r}; use whole days from 1 to 36500.")
    return int(text)


def apply_policies(
    database: MetricsDatabase, policies: Policies, report: Callable[[str], None]
) -> None:
    """Apply the policies from now on; one that was set before and is None now is removed.

    Raises:
        MetricsHistoryError: the database cannot be used; nothing is changed then.
    """
    with database.begin(SECONDS) as connection:
        schema = timescale.extension_schema(connection)
        hypertables = timescale.hypertables(connection)
        by_jobs = timescale.is_community(connection)
        for table, kept in policies.kept().items():
            if table in hypertables and schema is not None and by_jobs:
                _retain(connection, schema, table, kept)
                _compress(connection, schema, table, policies.compress_after)
                report(f"{table}: TimescaleDB {_in_words(kept, policies.compress_after)}")
            else:
                kind = "a plain table"
                if table in hypertables:
                    kind = "a hypertable of the Apache edition, which has no policies"
                done = _deleted(connection, kind, table, kept, policies.compress_after)
                report(f"{table}: {done}")


def _in_words(kept: int | None, compressed: int | None) -> str:
    keeps = "keeps all" if kept is None else f"drops what is older than {kept} days"
    packs = "compresses nothing new" if compressed is None else f"compresses after {compressed}"
    return f"{keeps}, {packs}"


def _retain(connection: Connection, schema: str, table: str, days: int | None) -> None:
    name = f"'{SCHEMA}.{table}'"
    connection.exec_driver_sql(
        f"SELECT {schema}.remove_retention_policy({name}, if_exists => TRUE)"
    )
    if days is not None:
        connection.exec_driver_sql(
            f"SELECT {schema}.add_retention_policy({name}, drop_after => INTERVAL '{days} days')"
        )


def _compress(connection: Connection, schema: str, table: str, days: int | None) -> None:
    """Set the compression policy, or remove it (None). Chunks that are compressed already stay so;
    they can be read, and written by a retry, as before."""
    name = f"'{SCHEMA}.{table}'"
    connection.exec_driver_sql(
        f"SELECT {schema}.remove_compression_policy({name}, if_exists => TRUE)"
    )
    if days is None:
        return
    connection.exec_driver_sql(
        f"ALTER TABLE {SCHEMA}.{table} SET (timescaledb.compress, "
        "timescaledb.compress_segmentby = 'model_name', timescaledb.compress_orderby = 'time DESC')"
    )
    connection.exec_driver_sql(
        f"SELECT {schema}.add_compression_policy({name}, compress_after => INTERVAL '{days} days')"
    )


def _deleted(
    connection: Connection, kind: str, table: str, days: int | None, compressed: int | None
) -> str:
    note = "; nothing is compressed" if compressed is not None else ""
    if days is None:
        return f"{kind}; all is kept{note}"
    done = connection.exec_driver_sql(
        f"DELETE FROM {SCHEMA}.{table} WHERE time < now() - INTERVAL '{days} days'"
    )
    return f"{kind}; {done.rowcount} rows older than {days} days are deleted{note}"
