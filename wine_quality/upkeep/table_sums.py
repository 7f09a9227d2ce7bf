"""Sums of a database's rows, by which the same tables on two servers are compared."""

from __future__ import annotations

from contextlib import closing

from wine_quality.metrics_history.table import SCHEMA
from wine_quality.stack.settings import StackError
from wine_quality.upkeep.data_services import DataServices

Sums = dict[str, tuple[int, int]]
"""By table: number of rows, and a sum over their text that does not depend on their order."""

# The metrics history may get today's tables in a restore, which counts its rows itself.
_TABLES = """
    SELECT schemaname, tablename FROM pg_tables WHERE schemaname NOT LIKE ALL(
        ARRAY['pg\\_%%', 'information\\_schema', '\\_timescaledb\\_%%', 'timescaledb\\_%%', %s])
    ORDER BY 1, 2"""
_AS_TEXT = "SET TimeZone = 'UTC'; SET DateStyle = 'ISO'; SET IntervalStyle = 'postgres'"
_SUM = """
    SELECT count(*), COALESCE(sum(('x' || left(md5(one_row::text), 15))::bit(60)::bigint), 0)
    FROM {} AS one_row"""


def sum_tables(services: DataServices, database: str) -> Sums:
    """Of each table but those of the metrics history."""
    from psycopg2 import sql

    with closing(services.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(_AS_TEXT)
        cursor.execute(_TABLES, (SCHEMA,))
        found: Sums = {}
        for schema, name in cursor.fetchall():
            cursor.execute(sql.SQL(_SUM).format(sql.Identifier(schema, name)))
            number, total = cursor.fetchone()
            found[f"{schema}.{name}"] = int(number), int(total)
    return found


def require_same(before: Sums, after: Sums, database: str) -> None:
    """Raises ``StackError`` naming the tables that differ."""
    differ = sorted(name for name in before | after if before.get(name) != after.get(name))
    if differ:
        shown = ", ".join(
            f"{name} ({_rows(before, name)}, now {_rows(after, name)})" for name in differ
        )
        raise StackError(f"{database} was not taken over as it was: rows of {shown}.")


def _rows(sums: Sums, name: str) -> str:
    return str(sums[name][0]) if name in sums else "no table"


def total(sums: dict[str, Sums]) -> str:
    """Rows, tables and databases, in words."""
    tables = [number for of_one in sums.values() for number, _ in of_one.values()]
    return f"{sum(tables)} rows of {len(tables)} tables in {len(sums)} databases"
