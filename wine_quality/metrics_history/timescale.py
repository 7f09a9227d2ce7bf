"""TimescaleDB where it is there: tables as hypertables. The API is that of 2.13 and later."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.metrics_history.table import PREDICTIONS, SCHEMA, TABLE

if TYPE_CHECKING:
    from sqlalchemy.engine import Connection

CHUNKS = {TABLE: "90 days", PREDICTIONS: "7 days"}
"""Of a few rows a run, chunks of a quarter hold thousands, not dozens; predictions come always."""

_AVAILABLE = "SELECT count(*) FROM pg_available_extensions WHERE name = 'timescaledb'"
_CREATE = "CREATE EXTENSION IF NOT EXISTS timescaledb"
_SCHEMA_OF = (
    "SELECT quote_ident(n.nspname) FROM pg_extension e JOIN pg_namespace n "
    "ON n.oid = e.extnamespace WHERE e.extname = 'timescaledb'"
)
_HYPERTABLES = (
    "SELECT hypertable_name FROM timescaledb_information.hypertables "
    f"WHERE hypertable_schema = '{SCHEMA}'"
)


def is_installed(connection: Connection) -> bool:
    """Whether this database has the extension."""
    return extension_schema(connection) is not None


def is_available(connection: Connection) -> bool:
    """Whether the server has the extension's files; more is known only when it is created."""
    return bool(connection.exec_driver_sql(_AVAILABLE).scalar())


def create_extension(connection: Connection) -> None:
    """Create the extension; the server closes the connection if the library is not preloaded."""
    connection.exec_driver_sql(_CREATE)


def extension_schema(connection: Connection) -> str | None:
    """The schema of the extension's functions, quoted; None where it is not installed."""
    found: str | None = connection.exec_driver_sql(_SCHEMA_OF).scalar()
    return found


def is_community(connection: Connection) -> bool:
    """Whether it is the edition with policies and continuous aggregates; Apache's has neither."""
    edition = connection.exec_driver_sql("SELECT current_setting('timescaledb.license', TRUE)")
    return edition.scalar() == "timescale"


def hypertables(connection: Connection) -> set[str]:
    """Names of the tables that are hypertables now."""
    if not is_installed(connection):
        return set()
    return set(CHUNKS) & set(connection.exec_driver_sql(_HYPERTABLES).scalars())


def make_hypertables(connection: Connection) -> None:
    """Turn the tables into hypertables, rows included; nothing happens to one that is."""
    schema = extension_schema(connection)
    assert schema is not None
    for table in CHUNKS:
        connection.exec_driver_sql(hypertable_sql(schema, table))


def hypertable_sql(schema: str, table: str) -> str:
    """The statement, with the functions in ``schema``."""
    return (
        f"SELECT {schema}.create_hypertable('{SCHEMA}.{table}', "
        f"{schema}.by_range('time', INTERVAL '{CHUNKS[table]}'), "
        "create_default_indexes => FALSE, if_not_exists => TRUE, migrate_data => TRUE)"
    )
