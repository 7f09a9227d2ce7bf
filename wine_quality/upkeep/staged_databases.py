"""New databases beside those of the platform, which take their names when all of them are whole."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

from wine_quality.stack.settings import StackError
from wine_quality.upkeep.data_services import DataServices

STAGED, REPLACED = "__restoring", "__replaced"
_SECONDS = 60.0
"""For others to leave the databases that are renamed; TimescaleDB's own processes are such."""
_SETTINGS = """
    SELECT unnest(setconfig) FROM pg_db_role_setting s JOIN pg_database d ON d.oid = setdatabase
    WHERE datname = %s AND setrole = 0"""
_LISTS = ("search_path", "session_preload_libraries", "local_preload_libraries")
_CUT_OFF = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = ANY(%s) AND pid <> pg_backend_pid()"""


@contextmanager
def staged_databases(services: DataServices, owners: dict[str, str]) -> Iterator[dict[str, str]]:
    """An empty one for each of these names, by the name that it will have.

    Inside the ``with`` call ``swap``. Those that were not swapped are removed at the end, also what
    an interrupted restore left.
    """
    names = {name: f"{name}{STAGED}" for name in owners}
    with closing(_administrator(services)) as connection, connection.cursor() as cursor:
        _drop(cursor, names, (STAGED, REPLACED))
        try:
            for name, owner in owners.items():
                _create(cursor, name, names[name], owner)
            yield names
        finally:
            _drop(cursor, names, (STAGED,))


def swap(services: DataServices, names: dict[str, str]) -> None:
    """Rename all at once: each takes its name; the database that had it is kept under another.

    Raises:
        StackError: a client stays connected to one of them.
    """
    import psycopg2.errors

    taken = [*names, *names.values()]
    deadline = time.monotonic() + _SECONDS
    with closing(_administrator(services)) as connection, connection.cursor() as cursor:
        while True:
            try:
                cursor.execute(_CUT_OFF, (taken,))
                _rename(cursor, names)
                return
            except psycopg2.errors.ObjectInUse as error:
                cursor.execute("ROLLBACK")
                if time.monotonic() > deadline:
                    raise StackError(
                        f"somebody is connected to the databases: {str(error).strip()}. Nothing "
                        "was changed; stop what uses them, then try again."
                    ) from None


def drop_replaced(services: DataServices, names: dict[str, str]) -> None:
    """Remove what ``swap`` kept."""
    with closing(_administrator(services)) as connection, connection.cursor() as cursor:
        _drop(cursor, names, (REPLACED,))


def _administrator(services: DataServices) -> Any:
    """A connection with autocommit: databases are neither made nor removed in a transaction."""
    connection = services.connect("postgres")
    connection.autocommit = True
    return connection


def _create(cursor: Any, name: str, staged: str, owner: str) -> None:
    """Create a database as ``init.sql`` does, with the settings of the one that is there."""
    from psycopg2 import sql

    cursor.execute(_SETTINGS, (name,))
    settings = [setting.partition("=") for (setting,) in cursor.fetchall()]
    database = sql.Identifier(staged)
    cursor.execute(
        sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0").format(
            database, sql.Identifier(owner)
        )
    )
    cursor.execute(sql.SQL("REVOKE CONNECT ON DATABASE {} FROM PUBLIC").format(database))
    for key, _, value in settings:
        setting = sql.SQL(".").join(map(sql.Identifier, key.split(".")))
        # A list is kept as it was written, quotes included.
        given = sql.SQL(value) if key in _LISTS else sql.Literal(value)
        cursor.execute(sql.SQL("ALTER DATABASE {} SET {} TO {}").format(database, setting, given))


def _rename(cursor: Any, names: dict[str, str]) -> None:
    from psycopg2 import sql

    cursor.execute("SELECT datname FROM pg_database")
    there = {name for (name,) in cursor.fetchall()}
    statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
    cursor.execute("BEGIN")
    for name, staged in names.items():
        if name in there:
            cursor.execute(statement.format(sql.Identifier(name), _named(name, REPLACED)))
        cursor.execute(statement.format(sql.Identifier(staged), sql.Identifier(name)))
    cursor.execute("COMMIT")


def _drop(cursor: Any, names: dict[str, str], suffixes: tuple[str, ...]) -> None:
    from psycopg2 import sql

    for name in names:
        for suffix in suffixes:
            cursor.execute(
                sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(_named(name, suffix))
            )


def _named(name: str, suffix: str) -> Any:
    from psycopg2 import sql

    return sql.Identifier(f"{name}{suffix}")
