"""Files, pieces and batches of rows, as an engine hands them to the pass over its rows."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple, Protocol

from wine_quality.datasets.dialect import DataFormatError
from wine_quality.escaping import ShownError

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

    from wine_quality.engines.broken_rules import BrokenRule
    from wine_quality.engines.row_table import RowTable

ROWS_PER_BATCH = 1 << 14
"""Few enough that a batch's columns stay in the processor's cache."""

ROWS_PER_READING = 1 << 17
"""Rows that Arrow's Parquet reader decodes at a time: larger portions are less work for it."""

ROWS_PER_PIECE = 1 << 20
"""About the number of rows that a thread reads at a time."""


_REASON = 300


class UnreadableFileError(ShownError):
    """A file that cannot be read to its end, or that is not what it was when the pass began."""


@dataclass(frozen=True)
class SourceFile:
    """One file as it was when the pass began.

    Attributes:
        path: Local path or ``s3://`` URL.
        bytes: Its size.
        version: What changes when its content does: ETag, or size and time of change.
        rows: Their number in its footer; None where only reading it gives the number (CSV).
        columns: Its columns' types by name, as the engine calls them.
    """

    path: str
    bytes: int
    version: str
    rows: int | None
    columns: dict[str, str]


class Piece(NamedTuple):
    """Consecutive rows of one file, read by one thread."""

    file: int
    first_row: int
    rows: int | None
    row_groups: tuple[int, ...]


class Batch(NamedTuple):
    """Rows of one piece, at most a few thousand.

    ``columns`` are doubles, each of shape (n,), the table's in its order; what is missing is
    NaN. They are the engine's own memory where it holds doubles: not to be written to.
    """

    first_row: int
    columns: Sequence[np.ndarray]

    @property
    def rows(self) -> int:
        return len(self.columns[0])

    @property
    def wines(self) -> np.ndarray:
        """A copy, of shape (m, n)."""
        import numpy as np

        return np.array(self.columns)


class Reader(Protocol):
    """An engine that reads files in pieces, from several threads."""

    files: Sequence[SourceFile]
    table: RowTable

    def pieces(self) -> Sequence[Piece]: ...

    def read(self, piece: Piece) -> Iterator[Batch]: ...

    def explain(self, piece: Piece, broken: Sequence[BrokenRule]) -> Sequence[BrokenRule]:
        """The broken rules with their row groups (Parquet) or lines (CSV), as
        ``datasets.records`` counts them."""

    def check_unchanged(self) -> None:
        """Raises ``UnreadableFileError`` when a file is not what it was at the beginning."""

    def close(self) -> None:
        """Give back what it holds."""


def batch_of(first_row: int, arrow: pa.RecordBatch, names: Sequence[str]) -> Batch:
    """An Arrow batch as doubles."""
    return Batch(first_row, [_doubles(arrow.column(name)) for name in names])


def batches_of(first_row: int, arrow: pa.RecordBatch, names: Sequence[str]) -> Iterator[Batch]:
    """An Arrow batch of any length in portions of ``ROWS_PER_BATCH``."""
    whole = batch_of(first_row, arrow, names).columns
    for start in range(0, arrow.num_rows, ROWS_PER_BATCH):
        end = start + ROWS_PER_BATCH
        yield Batch(first_row + start, [column[start:end] for column in whole])


def _doubles(column: pa.Array) -> np.ndarray:
    """The column as float64, shape (n,); not copied where it has doubles and none is missing."""
    import numpy as np
    import pyarrow as pa

    if column.type != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    if column.null_count:
        return np.array(column.to_pylist(), dtype=float)
    # ``to_numpy`` would import pandas, which takes longer than a million rows.
    numbers = np.frombuffer(column.buffers()[1], dtype=float)
    return numbers[column.offset : column.offset + len(column)]


def short_reason(error: BaseException) -> str:
    """A library's error text about a file, in one line of at most ``_REASON`` characters: some
    repeat the file's lines, at any length."""
    text = " ".join(
        line.strip()
        for line in str(error)[:10_000].splitlines()
        if line.strip() and not line.startswith(("Original Line:", "LINE ", "Possible"))
    )
    return text if len(text) <= _REASON else f"{text[:_REASON]}…"


@contextmanager
def translate_errors(
    name: str, cannot: str = "cannot be read", consequence: str = "; nothing of it was stored"
) -> Iterator[None]:
    """Raise errors of Arrow, DuckDB and the store anew, with the file's name.

    Raises:
        UnreadableFileError: in place of the library's own error, which is its cause.
    """
    try:
        yield
    except DataFormatError as error:
        raise UnreadableFileError(str(error)) from error
    except _reading_errors() as error:
        raise UnreadableFileError(
            f"{name} {cannot} ({short_reason(error)}){consequence}."
        ) from error


def _reading_errors() -> tuple[type[BaseException], ...]:
    """Those of DuckDB only if it is imported, which takes its time."""
    import pyarrow as pa

    duckdb = sys.modules.get("duckdb")
    return (pa.ArrowException, OSError, *([duckdb.Error] if duckdb else []))


def row_group_at(rows_of_groups: Sequence[int], row: int) -> int:
    """Index of the row group that a row is in."""
    end = 0
    for group, count in enumerate(rows_of_groups):
        end += count
        if row < end:
            return group
    raise ValueError(f"row {row} is not among {end}")


def group_pieces(file: int, rows_of_groups: Sequence[int]) -> Iterator[Piece]:
    """Consecutive row groups of one file, together about ``ROWS_PER_PIECE`` rows."""
    first, rows, groups = 0, 0, []
    for group, count in enumerate(rows_of_groups):
        groups.append(group)
        rows += count
        if rows >= ROWS_PER_PIECE:
            yield Piece(file, first, rows, tuple(groups))
            first, rows, groups = first + rows, 0, []
    if rows:
        yield Piece(file, first, rows, tuple(groups))
