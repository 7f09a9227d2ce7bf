"""Counts what the database of an MLflow server holds, and sums its rows up.

Asked in SQL, of sqlite and PostgreSQL alike, so that a deleted run and a version that no client
lists are counted too.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wine_quality.upkeep.mlflow_tables import columns, rows, tables

DELETED_STAGE = "Deleted_Internal"
_NO_OBJECTS = {"alembic_version"}
_ROWS_PER_FETCH = 10_000
_MODULUS = 1 << 256

Change = Callable[[str, str, Any], Any]
"""Table, column and value of a cell; the value it is to have after an upgrade."""


@dataclass(frozen=True)
class Census:
    """The contents of an MLflow database, counted.

    Attributes:
        tables: Rows of each table of MLflow's.
        experiments: Number by state (``active``, ``deleted``).
        runs: Number by status, that of deleted ones as ``FINISHED, deleted``.
        models: Names of the registered models.
        versions: Number of model versions by stage.
        aliases: Model, alias, version.
        stages: Model, stage, version; of versions in a stage other than ``None``.
    """

    tables: Mapping[str, int]
    experiments: Mapping[str, int]
    runs: Mapping[str, int]
    models: tuple[str, ...]
    versions: Mapping[str, int]
    aliases: tuple[tuple[str, str, str], ...]
    stages: tuple[tuple[str, str, str], ...]

    @property
    def is_empty(self) -> bool:
        """Whether it has at most what a server makes when it first starts."""
        return not self.runs and not self.models and sum(self.experiments.values()) <= 1


def take_census(connection: Any) -> Census:
    """The census of a database; an empty one where MLflow's tables were never made."""
    there = tables(connection)
    if "runs" not in there:
        return Census({}, {}, {}, (), {}, (), ())
    counted = {name: _count(connection, name) for name in sorted(there - _NO_OBJECTS)}
    aliases: list[tuple[Any, ...]] = []
    if "registered_model_aliases" in there:
        found = "SELECT name, alias, version FROM registered_model_aliases ORDER BY name, alias"
        aliases = rows(connection, found)
    runs = rows(connection, "SELECT status, lifecycle_stage, count(*) FROM runs GROUP BY 1, 2")
    return Census(
        tables=counted,
        experiments=_grouped(connection, "experiments", "lifecycle_stage"),
        runs={
            f"{status}{', deleted' if stage == 'deleted' else ''}": number
            for status, stage, number in sorted(runs, key=str)
        },
        models=tuple(
            name for (name,) in rows(connection, "SELECT name FROM registered_models ORDER BY name")
        ),
        versions=_grouped(connection, "model_versions", "current_stage"),
        aliases=tuple((name, alias, str(version)) for name, alias, version in aliases),
        stages=tuple(
            (name, stage, str(version))
            for name, stage, version in rows(
                connection,
                "SELECT name, current_stage, version FROM model_versions "
                f"WHERE current_stage NOT IN ('None', '{DELETED_STAGE}') ORDER BY name, version",
            )
        ),
    )


def versions_in(connection: Any) -> list[tuple[str, str]]:
    """Model and number of each version that was not deleted, the oldest of each model first."""
    found = rows(
        connection,
        "SELECT name, version FROM model_versions WHERE current_stage IS NULL "
        f"OR current_stage <> '{DELETED_STAGE}' ORDER BY name, version",
    )
    return [(name, str(version)) for name, version in found]


def open_runs(connection: Any, limit: int = 5) -> tuple[int, list[str]]:
    """Number of runs that are under way, and some of them: experiment and id."""
    where = (
        "FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id "
        "WHERE r.status IN ('RUNNING', 'SCHEDULED') AND r.lifecycle_stage = 'active'"
    )
    ((number,),) = rows(connection, f"SELECT count(*) {where}")
    found = rows(connection, f"SELECT e.name, r.run_uuid {where} LIMIT {limit}")
    return number, [f"{name}: {run}" for name, run in found]


@dataclass(frozen=True)
class TableSum:
    """Number of rows in a table, and a hash over them that does not depend on their order."""

    rows: int
    sha256: str


def sum_tables(
    connection: Any, wanted: Mapping[str, Iterable[str]], change: Change
) -> dict[str, TableSum]:
    """Each table's rows and their hash.

    Args:
        wanted: The columns of each table.
        change: Maps each cell to the value that is summed up.
    """
    return {
        table: _sum(connection, table, sorted(names), change)
        for table, names in sorted(wanted.items())
    }


def content_of(connection: Any) -> dict[str, Any]:
    """Columns, number of rows and their hash of each table, as JSON."""
    there = {table: sorted(names) for table, names in columns_of(connection).items()}
    sums = sum_tables(connection, there, as_it_is)
    return {table: {"columns": there[table], **asdict(total)} for table, total in sums.items()}


def as_it_is(table: str, column: str, value: Any) -> Any:
    """The change of a cell that stays."""
    return value


def columns_of(connection: Any) -> dict[str, set[str]]:
    """The columns of each table of MLflow's."""
    there = tables(connection) - _NO_OBJECTS
    return {table: columns(connection, table) for table in there}


def _sum(connection: Any, table: str, names: list[str], change: Change) -> TableSum:
    number = total = 0
    cursor = connection.cursor()
    try:
        listed = ", ".join(f'"{name}"' for name in names)
        cursor.execute(f"SELECT {listed} FROM {table}")
        while found := cursor.fetchmany(_ROWS_PER_FETCH):
            for row in found:
                cells = [_plain(change(table, n, v)) for n, v in zip(names, row, strict=True)]
                digest = hashlib.sha256(repr(cells).encode(errors="surrogatepass")).digest()
                total = (total + int.from_bytes(digest, "big")) % _MODULUS
                number += 1
    finally:
        cursor.close()
    return TableSum(number, f"{total:064x}")


def _plain(value: Any) -> Any:
    """A value in one form, although drivers and types of a column give it in several."""
    if isinstance(value, memoryview):
        return bytes(value)
    if isinstance(value, bool) or (isinstance(value, float) and value.is_integer()):
        return int(value)
    return value


def _count(connection: Any, table: str) -> int:
    ((number,),) = rows(connection, f"SELECT count(*) FROM {table}")
    return int(number)


def _grouped(connection: Any, table: str, column: str) -> dict[str, int]:
    found = rows(connection, f"SELECT {column}, count(*) FROM {table} GROUP BY 1")
    return {str(value): number for value, number in sorted(found, key=str)}
