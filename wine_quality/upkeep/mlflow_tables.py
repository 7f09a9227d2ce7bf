"""Reads the tables of an MLflow server's database, by a connection of sqlite's or PostgreSQL's
driver."""

from __future__ import annotations

from typing import Any


def rows(connection: Any, query: str) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    cursor = connection.cursor()
    try:
        cursor.execute(query)
        return cursor.fetchall()
    finally:
        cursor.close()


def tables(connection: Any) -> set[str]:
    """Names of the tables that there are."""
    query = "SELECT tablename FROM pg_tables WHERE schemaname = 'public'"
    if is_sqlite(connection):
        query = "SELECT name FROM sqlite_master WHERE type = 'table'"
    return {name for (name,) in rows(connection, query)}


def columns(connection: Any, table: str) -> set[str]:
    """Names of a table's columns; none when there is no such table."""
    query = (
        "SELECT column_name FROM information_schema.columns "
        f"WHERE table_schema = 'public' AND table_name = '{table}'"
    )
    if is_sqlite(connection):
        query = f"SELECT name FROM pragma_table_info('{table}')"
    return {name for (name,) in rows(connection, query)}


def is_sqlite(connection: Any) -> bool:
    """Whether it is of sqlite's driver."""
    return type(connection).__module__ == "sqlite3"
