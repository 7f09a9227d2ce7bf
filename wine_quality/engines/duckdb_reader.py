"""Parquet and CSV by DuckDB, embedded: local or S3, each thread with a cursor of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import IO, TYPE_CHECKING

from wine_quality.datasets.dialect import HEAD_BYTES, Dialect, detect_dialect
from wine_quality.datasets.records import find_violations, read_records
from wine_quality.engines.batches import (
    ROWS_PER_BATCH,
    Batch,
    Piece,
    SourceFile,
    batches_of,
    group_pieces,
    row_group_at,
    short_reason,
    translate_errors,
)
from wine_quality.engines.broken_rules import BrokenRule
from wine_quality.engines.duckdb_sql import csv_table, literal_path, quoted_name
from wine_quality.engines.input_files import (
    check_versions,
    first_bytes,
    is_parquet,
    open_bytes,
    size_and_version,
    store_of,
)
from wine_quality.engines.row_table import WINES, RowTable

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class DuckDBReader:
    """See ``batches.Reader``.

    Parquet is read in ranges of rows, of which DuckDB reads only the row groups concerned; a CSV
    file is one piece, read by ``threads`` threads. What DuckDB cannot read of a CSV file, or reads
    against the contract, ``datasets.records`` reads, which decides.
    """

    def __init__(
        self,
        paths: Sequence[str],
        threads: int = 1,
        memory_limit: str = "512MB",
        table: RowTable = WINES,
    ) -> None:
        import duckdb

        self.table = table
        self._of_thread = threading.local()
        # A range of a Parquet file is read by the thread that asks for it: threads of DuckDB's own
        # would hand its rows from core to core, which is more work.
        own = 1 if all(is_parquet(path) for path in paths) else threads
        try:
            self._connection = duckdb.connect(config={"threads": own, "memory_limit": memory_limit})
        except duckdb.Error as error:
            raise ValueError(
                f"resources.training_engine.config.memory_limit is {memory_limit!r}: "
                f"{short_reason(error)}. Write it such as 512MB or 2GB."
            ) from error
        self._connection.execute("SET parquet_metadata_cache = true")
        self._store = store_of(paths)
        if self._store is not None:
            # Not DuckDB's own httpfs: that is an extension to download at run time.
            self._connection.register_filesystem(self._store)
        self._row_groups: list[list[int]] = []
        self._dialects: dict[str, Dialect] = {}
        self.files: Sequence[SourceFile] = tuple(self._file(path) for path in paths)

    def _file(self, path: str) -> SourceFile:
        size, version = size_and_version(path, self._store)
        with translate_errors(path):
            if not is_parquet(path):
                dialect = detect_dialect(first_bytes(path, HEAD_BYTES), path, self.table.names)
                self._dialects[path] = dialect
                self._row_groups.append([])
                return SourceFile(path, size, version, None, dict.fromkeys(dialect.names, "DOUBLE"))
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {self._table(path)}")
            columns = {name: kind for name, kind, *_ in described.fetchall()}
            columns.pop("file_row_number", None)
            found = self._connection.execute(
                "SELECT row_group_id, any_value(row_group_num_rows) "
                f"FROM parquet_metadata({literal_path(path)}) GROUP BY 1 ORDER BY 1"
            )
            groups = [int(rows) for _, rows in found.fetchall()]
        self._row_groups.append(groups)
        return SourceFile(path, size, version, sum(groups), columns)

    def pieces(self) -> list[Piece]:
        found: list[Piece] = []
        for number, file in enumerate(self.files):
            if is_parquet(file.path):
                found += group_pieces(number, self._row_groups[number])
            else:
                found.append(Piece(number, 0, None, ()))
        return found

    def read(self, piece: Piece) -> Iterator[Batch]:
        path = self.files[piece.file].path
        with translate_errors(path):
            yield from self._rows(path, piece) if is_parquet(path) else self._csv_rows(path)

    def _rows(self, path: str, piece: Piece) -> Iterator[Batch]:
        first = piece.first_row
        query = f"SELECT {self._doubles()} FROM {self._table(path)}"
        if piece.rows is not None:
            last = piece.first_row + piece.rows - 1
            query += f" WHERE file_row_number BETWEEN {piece.first_row} AND {last}"
        for arrow in self._cursor().sql(query).to_arrow_reader(ROWS_PER_BATCH):
            yield from batches_of(first, arrow, self.table.names)
            first += arrow.num_rows

    def _csv_rows(self, path: str) -> Iterator[Batch]:
        """By DuckDB as far as it gets, else record by record."""
        import duckdb

        first, dialect = 0, self._dialects[path]
        # Where lines end in two ways DuckDB loses rows without a word.
        if dialect.encoding == "utf-8-sig" and dialect.line_end:
            query = f"SELECT {self._doubles()} FROM {self._table(path)}"
            try:
                for arrow in self._cursor().sql(query).to_arrow_reader(ROWS_PER_BATCH):
                    filled = _without_empty_rows(arrow)
                    yield from batches_of(first, filled, self.table.names)
                    first += filled.num_rows
                return
            except (duckdb.Error, OSError):
                pass  # read below from here on, which reports what is wrong
        row = 0
        for records in read_records(lambda: self._open(path), dialect, path, self.table.contract):
            known, rows = max(first - row, 0), len(records.lines)
            if known < rows:
                yield Batch(row + known, [column[known:] for column in records.columns])
            row += rows

    def _open(self, path: str) -> IO[bytes]:
        return open_bytes(path, self._store)

    def explain(self, piece: Piece, broken: Sequence[BrokenRule]) -> Sequence[BrokenRule]:
        path = self.files[piece.file].path
        if is_parquet(path):
            groups = self._row_groups[piece.file]
            return [replace(one, row_group=row_group_at(groups, one.first_row)) for one in broken]
        with translate_errors(path):
            found = find_violations(
                lambda: self._open(path), self._dialects[path], path, self.table.contract
            )
        return [BrokenRule.of_text(path, violation) for violation in found] or broken

    def check_unchanged(self) -> None:
        check_versions({file.path: file.version for file in self.files})

    def close(self) -> None:
        self._connection.close()

    def _table(self, path: str) -> str:
        if is_parquet(path):
            # A folder called quality=3 is not a column.
            options = "file_row_number = true, hive_partitioning = false"
            return f"read_parquet({literal_path(path)}, {options})"
        dialect = self._dialects[path]
        return csv_table(path, dialect, dict.fromkeys(dialect.names, "DOUBLE"))

    def _doubles(self) -> str:
        named = map(quoted_name, self.table.names)
        return ", ".join(f"{name}::DOUBLE AS {name}" for name in named)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._of_thread, "cursor"):
            self._of_thread.cursor = self._connection.cursor()
        return self._of_thread.cursor


def _without_empty_rows(arrow: pa.RecordBatch) -> pa.RecordBatch:
    """Spreadsheets end with lines of separators alone."""
    import pyarrow.compute as pc

    filled = None
    for column in arrow.columns:
        if not column.null_count:
            return arrow
        there = column.is_valid()
        filled = there if filled is None else pc.or_(filled, there)
    return arrow.filter(filled)
