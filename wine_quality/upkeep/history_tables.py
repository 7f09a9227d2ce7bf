"""The metrics history in a backup: its rows as text, table by table, and no table definitions.

What ``pg_dump`` writes of a hypertable names the chunks of that one server, and fits only the same
TimescaleDB. Rows fit any: the restore makes the tables by the migrations and loads them, as
hypertables where the server has TimescaleDB, else as plain tables. What else is in the database is
dumped without the schema ``wine_quality`` and TimescaleDB's own.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.metrics_history import aggregates, migrate, table
from wine_quality.metrics_history.database import MetricsDatabase
from wine_quality.metrics_history.evaluation import MetricsHistoryError
from wine_quality.stack.settings import StackError
from wine_quality.upkeep.data_services import DataServices

FOLDER = "history-tables"
SECONDS = 3600.0
"""For the load, and again for the hypertables."""
_EXTENSION = "timescaledb"
_OWN_SCHEMAS = (table.SCHEMA, "_timescaledb_*", "timescaledb_*")
_EXTENSIONS = "SELECT extname FROM pg_extension WHERE extname <> %s"
_COLUMNS = """
    SELECT column_name FROM information_schema.columns
    WHERE table_schema = %s AND table_name = %s AND is_generated = 'NEVER'
    ORDER BY ordinal_position"""
_OTHERS = """
    SELECT relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND relkind IN ('r', 'p', 'm', 'v') AND relname <> ALL(%s)"""
_OTHER_HYPERTABLES = """
    SELECT hypertable_schema || '.' || hypertable_name FROM timescaledb_information.hypertables
    WHERE hypertable_schema <> %s AND hypertable_schema NOT LIKE '\\_timescaledb\\_%%'"""


def table_names() -> list[str]:
    """Names of the history's tables, without the schema."""
    return [found.name for found in table.metrics.metadata.tables.values()]


def dump_options(services: DataServices, database: str) -> list[str]:
    """Options for ``pg_dump`` of all but the history and TimescaleDB."""
    with closing(services.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(_EXTENSIONS, (_EXTENSION,))
        extensions = [name for (name,) in cursor.fetchall()]
    options = [f"--exclude-schema={schema}" for schema in _OWN_SCHEMAS]
    return options + [f'--extension="{name}"' for name in extensions]


def copy_tables(
    services: DataServices,
    database: str,
    snapshot: str,
    folder: Path,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Write the rows as of a snapshot into ``folder``; returns their entry in the manifest:
    ``database``, ``revision`` (None where there are no tables yet), and ``tables`` by name, each
    with ``columns`` and ``rows``.

    Raises:
        StackError: a newer wine_quality has migrated the database.
    """
    from psycopg2 import sql

    found: dict[str, Any] = {"database": database, "revision": None, "tables": {}}
    with closing(services.connect(database)) as connection, connection.cursor() as cursor:
        connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
        cursor.execute("SET TRANSACTION SNAPSHOT %s", (snapshot,))
        found["revision"] = _revision(cursor)
        for left_out in _left_out(cursor):
            say(f"NOT in the backup: {left_out} in {database} is none of this project's tables")
        if found["revision"] is None:
            return found
        require_known_revision(found["revision"], f"the database {database}")
        folder.mkdir()
        for name in table_names():
            cursor.execute(_COLUMNS, (table.SCHEMA, name))
            columns = [column for (column,) in cursor.fetchall()]
            if not columns:
                continue  # of a later revision
            query = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(
                _list(columns), sql.Identifier(table.SCHEMA, name)
            )
            with (folder / f"{name}.copy").open("wb") as file:
                cursor.copy_expert(query, file)
            found["tables"][name] = {"columns": columns, "rows": cursor.rowcount}
            say(f"{database}: {cursor.rowcount} rows of {name}")
    return found


def load_tables(
    services: DataServices,
    database: str,
    owner: str,
    history: dict[str, Any],
    folder: Path,
    say: Callable[[str], None],
) -> None:
    """Make the tables in a new, empty database and fill them.

    Raises:
        StackError: it failed, or other rows are there than the backup has.
    """
    if history["revision"] is None:
        return
    target = MetricsDatabase(_url(services, database, owner))
    try:
        migrate.make_tables(target, history["revision"])
        with closing(services.connect(database)) as connection, connection:
            for name, copied in history["tables"].items():
                _load(connection, name, copied, folder / f"{name}.copy")
        # After the rows, which are of the backup's revision: later revisions may change them.
        migrate.upgrade(target, _naming(history["database"], database, say), SECONDS)
    except MetricsHistoryError as error:
        raise StackError(str(error)) from None
    for name, copied in history["tables"].items():
        say(f"{history['database']}: {copied['rows']} rows of {name}")


def require_known_revision(revision: str, what: str) -> None:
    """Raises ``StackError`` when a newer wine_quality has made ``what``."""
    if not migrate.knows(revision):
        raise StackError(
            f"{what} has revision {revision!r} of the metrics history, which this wine_quality "
            "does not know: a newer one has made it. Update this one."
        )


def upgrade_restored(
    services: DataServices, database: str, name: str, owner: str, say: Callable[[str], None]
) -> None:
    """Bring tables that ``pg_restore`` made to today's revision, as hypertables if possible.

    Raises:
        StackError: it failed, or a newer wine_quality has made them.
    """
    target = MetricsDatabase(_url(services, database, owner))
    try:
        with target.begin() as connection:
            if migrate.revision(connection) is None:
                return
        migrate.upgrade(target, _naming(name, database, say), SECONDS)
    except MetricsHistoryError as error:
        raise StackError(str(error)) from None


def _naming(name: str, staged: str, say: Callable[[str], None]) -> Callable[[str], None]:
    """Report lines with the final name of the database in place of the staged one."""
    return lambda line: say(line.replace(staged, name))


def _load(connection: Any, name: str, copied: dict[str, Any], path: Path) -> None:
    from psycopg2 import sql

    if name not in table_names():
        raise StackError(f"{name[:80]!r} is no table of the metrics history.")
    target = sql.Identifier(table.SCHEMA, name)
    with connection.cursor() as cursor, path.open("rb") as file:
        query = sql.SQL("COPY {} ({}) FROM STDIN").format(target, _list(copied["columns"]))
        cursor.copy_expert(query, file)
        cursor.execute(sql.SQL("SELECT count(*) FROM {}").format(target))
        (rows,) = cursor.fetchone()
    if rows != copied["rows"]:
        raise StackError(f"{name} has {rows} rows after the load; the backup has {copied['rows']}.")


def _list(columns: list[str]) -> Any:
    from psycopg2 import sql

    return sql.SQL(", ").join(map(sql.Identifier, columns))


def _revision(cursor: Any) -> str | None:
    name = f"{table.SCHEMA}.{table.VERSION_TABLE}"
    cursor.execute("SELECT to_regclass(%s)", (name,))
    if cursor.fetchone() == (None,):
        return None
    cursor.execute(f"SELECT version_num FROM {name}")
    (found,) = cursor.fetchone() or (None,)
    return found


def _left_out(cursor: Any) -> list[str]:
    """Tables of others that are not copied: in this schema, or rows of hypertables elsewhere."""
    cursor.execute(
        _OTHERS, (table.SCHEMA, [*table_names(), *aggregates.NAMES, table.VERSION_TABLE])
    )
    found = [f"{table.SCHEMA}.{name}" for (name,) in cursor.fetchall()]
    cursor.execute("SELECT to_regclass('timescaledb_information.hypertables')")
    if cursor.fetchone() != (None,):
        cursor.execute(_OTHER_HYPERTABLES, (table.SCHEMA,))
        found += [f"the rows of hypertable {name}" for (name,) in cursor.fetchall()]
    return found


def _url(services: DataServices, database: str, owner: str) -> Any:
    """The URL of the administrator in the owner's role, so that the owner gets the tables."""
    from sqlalchemy.engine import URL

    return URL.create(
        "postgresql+psycopg2",
        username=services.settings["POSTGRES_USER"],
        password=services.settings["POSTGRES_PASSWORD"],
        host="127.0.0.1",
        port=services.postgres_port,
        database=database,
        query={"options": f"-crole={owner}"},
    )
