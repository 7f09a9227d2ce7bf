"""Parquet and CSV by DuckDB, embedded: local or S3, each thread with a cursor of its own."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from wine_quality.data.parse import MAX_HEADER, DataFormatError, separator_at
from wine_quality.engines.batches import (
    ROWS_PER_BATCH,
    Batch,
    Piece,
    SourceFile,
    UnreadableFile,
    batches_of,
    group_pieces,
    row_group_at,
    short_reason,
)
from wine_quality.engines.block_sums import NAMES
from wine_quality.engines.places import (
    check_versions,
    first_bytes,
    is_parquet,
    size_and_version,
    store_of,
)

if TYPE_CHECKING:
    import duckdb


class DuckDBReader:
    """See ``batches.Reader``.

    Parquet is read in ranges of rows, of which DuckDB reads only the row groups concerned; a CSV
    file is one piece, read by ``threads`` threads.
    """

    def __init__(self, paths: Sequence[str], threads: int = 1, memory_limit: str = "512MB") -> None:
        import duckdb

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
        self._separators: dict[str, str] = {}
        self.files: Sequence[SourceFile] = tuple(self._file(path) for path in paths)

    def _file(self, path: str) -> SourceFile:
        size, version = size_and_version(path, self._store)
        groups: list[int] = []
        with self._told_as_ours(path):
            if not is_parquet(path):
                self._separators[path] = separator_at(first_bytes(path, 8 * MAX_HEADER), path)
            described = self._connection.execute(f"DESCRIBE SELECT * FROM {self._table(path)}")
            columns = {name: kind for name, kind, *_ in described.fetchall()}
            if is_parquet(path):
                columns.pop("file_row_number", None)
                found = self._connection.execute(
                    "SELECT row_group_id, any_value(row_group_num_rows) "
                    f"FROM parquet_metadata({_literal(path)}) GROUP BY 1 ORDER BY 1"
                )
                groups = [int(rows) for _, rows in found.fetchall()]
        self._row_groups.append(groups)
        return SourceFile(path, size, version, sum(groups) if is_parquet(path) else None, columns)

    def pieces(self) -> list[Piece]:
        found: list[Piece] = []
        for number, file in enumerate(self.files):
            if is_parquet(file.path):
                found += group_pieces(number, self._row_groups[number])
            else:
                found.append(Piece(number, 0, None, ()))
        return found

    def read(self, piece: Piece) -> Iterator[Batch]:
        path, first = self.files[piece.file].path, piece.first_row
        columns = ", ".join(f"{_name(name)}::DOUBLE AS {_name(name)}" for name in NAMES)
        query = f"SELECT {columns} FROM {self._table(path)}"
        if piece.rows is not None:
            last = piece.first_row + piece.rows - 1
            query += f" WHERE file_row_number BETWEEN {piece.first_row} AND {last}"
        with self._told_as_ours(path):
            reader = self._cursor().sql(query).to_arrow_reader(ROWS_PER_BATCH)
            for arrow in reader:
                yield from batches_of(first, arrow, NAMES)
                first += arrow.num_rows

    def row_group_of(self, piece: Piece, row: int) -> int:
        return row_group_at(self._row_groups[piece.file], row)

    def check_unchanged(self) -> None:
        check_versions({file.path: file.version for file in self.files})

    def close(self) -> None:
        self._connection.close()

    def _table(self, path: str) -> str:
        if is_parquet(path):
            return f"read_parquet({_literal(path)}, file_row_number = true)"
        # Types are told from the first rows; a text further down fails the pass, by its line. All
        # else is said: what DuckDB guesses leaves out lines before the header, and comments.
        return (
            f"read_csv({_literal(path)}, header = true, delim = '{self._separators[path]}', "
            "quote = '\"', escape = '\"', comment = '', skip = 0, compression = 'none')"
        )

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        if not hasattr(self._of_thread, "cursor"):
            self._of_thread.cursor = self._connection.cursor()
        return self._of_thread.cursor

    @staticmethod
    def _told_as_ours(path: str) -> _ToldAsOurs:
        return _ToldAsOurs(path)


class _ToldAsOurs:
    """Errors of DuckDB and of the store, with the file's name."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        import duckdb
        import pyarrow as pa

        if isinstance(error, DataFormatError):
            raise UnreadableFile(str(error)) from error
        if isinstance(error, (duckdb.Error, pa.ArrowException, OSError)):
            reason = short_reason(error)
            if "Error when sniffing file" in reason:
                reason = "its rows do not all have as many fields as the header has names"
            raise UnreadableFile(
                f"{self._path} cannot be read ({reason}); nothing of it was stored."
            ) from error


def _literal(path: str) -> str:
    """One file, whatever is in its name: DuckDB takes paths for patterns."""
    return "'" + re.sub(r"([*?\[])", r"[\1]", path).replace("'", "''") + "'"


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
