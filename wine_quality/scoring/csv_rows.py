"""The rows of a CSV file: by DuckDB as far as it gets, else record by record."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.dialect import Dialect
from wine_quality.datasets.text_rows import text_rows
from wine_quality.engines.duckdb_sql import csv_table, quoted_name
from wine_quality.engines.input_files import open_bytes
from wine_quality.scoring.row_batches import ROWS_PER_BATCH, InputFile, RowBatch, doubles

if TYPE_CHECKING:
    import numpy as np

_MISSING = frozenset(["", "na", "n/a", "nan", "null", "none", "<na>", "#n/a"])


def csv_batches(
    connection: Any, store: Any, file: InputFile, numbers: Sequence[str], keys: Sequence[str]
) -> Iterator[RowBatch]:
    """See ``Inputs.batches``. Lines without any value are skipped.

    Raises:
        DataFormatError: rows of another length, no text, cut short; the message names the line.
        OSError: the file cannot be read.
    """
    import duckdb

    dialect, first = file.dialect, 0
    assert dialect is not None
    # Where lines end in two ways DuckDB loses rows without an error.
    if dialect.encoding == "utf-8-sig" and dialect.line_end:
        names = dict.fromkeys([*numbers, *keys])
        columns = ", ".join(f"{quoted_name(name)}" for name in names)
        try:
            # Spreadsheets end with lines of separators alone.
            filled = " OR ".join(f"{quoted_name(name)} IS NOT NULL" for name in dialect.names)
            types = {name: "DOUBLE" if name in numbers else "VARCHAR" for name in dialect.names}
            table = csv_table(file.path, dialect, types)
            found = connection.sql(f"SELECT {columns} FROM {table} WHERE {filled}")
            for arrow in found.to_arrow_reader(ROWS_PER_BATCH):
                yield RowBatch(
                    first,
                    [doubles(arrow.column(list(names).index(name))) for name in numbers],
                    [arrow.column(list(names).index(name)) for name in keys],
                    {},
                )
                first += arrow.num_rows
            return
        except (duckdb.Error, OSError):
            pass  # read below from here on, which names the fault
    rows = text_rows(lambda: open_bytes(file.path, store), dialect, file.name)
    rest = itertools.islice(rows, first, None)
    while portion := [row for _, row in itertools.islice(rest, ROWS_PER_BATCH)]:
        yield _batch_of_texts(first, portion, dialect, numbers, keys)
        first += len(portion)


def _batch_of_texts(
    first: int,
    rows: list[list[str]],
    dialect: Dialect,
    numbers: Sequence[str],
    keys: Sequence[str],
) -> RowBatch:
    import pyarrow as pa

    fields = list(zip(*rows, strict=True))
    columns, texts = [], {}
    for name in numbers:
        column, others = _numbers(fields[dialect.names.index(name)], dialect.decimal)
        columns.append(column)
        if others:
            texts[name] = others
    named = [pa.array(fields[dialect.names.index(name)], pa.string()) for name in keys]
    return RowBatch(first, columns, named, texts)


def _numbers(fields: Sequence[str], decimal: str) -> tuple[np.ndarray, dict[int, str]]:
    """Numbers, (n,), NaN where there is none; and the texts there, by row."""
    import numpy as np

    numbers, texts = np.full(len(fields), np.nan), {}
    for row, field in enumerate(fields):
        try:
            numbers[row] = float(_with_point(field, decimal))
        except ValueError:
            if field.strip().lower() not in _MISSING:
                texts[row] = field.strip()
    return numbers, texts


def _with_point(field: str, decimal: str) -> str:
    if decimal == ",":
        if "." in field:
            raise ValueError(field)
        return field.replace(",", ".", 1)
    return field
