"""Files of rows to score, in order and in batches: Parquet by Arrow, CSV by DuckDB."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from wine_quality.datasets.contract import plain_name
from wine_quality.datasets.dialect import HEAD_BYTES, detect_dialect
from wine_quality.engines.batches import UnreadableFileError, short_reason, translate_errors
from wine_quality.engines.input_files import (
    check_versions,
    find_files,
    first_bytes,
    is_parquet,
    open_parquet,
    size_and_version,
    store_of,
)
from wine_quality.scoring.csv_rows import csv_batches
from wine_quality.scoring.row_batches import ROWS_PER_BATCH, InputFile, RowBatch, doubles

DESCRIPTION = "wine_quality.predictions"
"""Key in the metadata of files of predictions: JSON that names the model and the input."""

_BUFFER_BYTES = 1 << 16
"""Row groups of a million rows are usual; read whole, memory would grow with their size."""
_NO_NUMBERS = ("string", "large_string", "binary", "bool", "date", "time", "struct", "list", "dict")
_translate_errors = partial(translate_errors, consequence="")


class Inputs:
    """Files of one source, open; to be closed."""

    def __init__(
        self,
        patterns: Sequence[str],
        threads: int = 0,
        memory_limit: str = "512MB",
        shown: Mapping[str, str] | None = None,
        trusted: bool = False,
    ) -> None:
        """Opens each file and reads its schema, or its first lines.

        Args:
            patterns: See ``input_files.find_files``.
            threads: Of DuckDB; 0 for one per processor.
            memory_limit: Of DuckDB's own buffers.
            shown: Names for people, by path, of files that were fetched.
            trusted: See ``input_files.find_files``.

        Raises:
            UnreadableFileError: a pattern names no file, or one cannot be read.
        """
        paths, self.left_out = find_files(patterns, trusted)
        self.store = store_of(paths)
        self._settings: dict[str, Any] = {
            "memory_limit": memory_limit,
            **({"threads": threads} if threads else {}),
        }
        self._connection: Any = None
        self.files = [self._file(path, (shown or {}).get(path, path)) for path in paths]

    def _file(self, path: str, name: str) -> InputFile:
        size, version = size_and_version(path, self.store)
        with _translate_errors(name):
            if is_parquet(path):
                with open_parquet(path, self.store) as opened:
                    schema = opened.schema_arrow
                columns = {field.name: str(field.type) for field in schema}
                if len(columns) < len(schema.names):
                    raise UnreadableFileError(f"{name} names columns twice.")
                return InputFile(path, name, size, version, columns)
            dialect = detect_dialect(first_bytes(path, HEAD_BYTES), name)
        return InputFile(path, name, size, version, dict.fromkeys(dialect.names, "text"), dialect)

    def require_columns(self, numbers: Sequence[str], keys: Sequence[str]) -> None:
        """Check that each file has the columns, with numbers where needed; others are allowed.

        Raises:
            UnreadableFileError: a file has not; the message names all that is wrong with it.
        """
        for file in self.files:
            wrong = []
            for name in dict.fromkeys([*numbers, *keys]):
                if name not in file.columns:
                    wrong.append(f"column {name!r} is missing{_near(name, file.columns)}")
            for name in numbers:
                if file.dialect is None and file.columns.get(name, "").startswith(_NO_NUMBERS):
                    wrong.append(f"column {name!r} holds {file.columns[name]}, not numbers")
            if wrong:
                raise UnreadableFileError(f"{file.name}: {'; '.join(wrong)}.")

    def batches(
        self, file: InputFile, numbers: Sequence[str], keys: Sequence[str] = ()
    ) -> Iterator[RowBatch]:
        """The rows of one file in their order.

        Raises:
            UnreadableFileError: the file cannot be read to its end.
        """
        with _translate_errors(file.name):
            if file.dialect is None:
                yield from self._parquet_batches(file, numbers, keys)
            else:
                yield from csv_batches(self.duckdb(), self.store, file, numbers, keys)

    def _parquet_batches(
        self, file: InputFile, numbers: Sequence[str], keys: Sequence[str]
    ) -> Iterator[RowBatch]:
        first, wanted = 0, list(dict.fromkeys([*numbers, *keys]))
        with open_parquet(file.path, self.store, _BUFFER_BYTES) as opened:
            for group in range(opened.num_row_groups):
                # Asked for all groups at once, Arrow keeps what it has read until the end.
                # In this thread alone, which reads faster than models predict: each of Arrow's own
                # would keep memory for itself.
                for arrow in opened.iter_batches(
                    ROWS_PER_BATCH, [group], wanted, use_threads=False
                ):
                    columns = [doubles(arrow.column(wanted.index(name))) for name in numbers]
                    named = [arrow.column(wanted.index(name)) for name in keys]
                    yield RowBatch(first, columns, named, {})
                    first += arrow.num_rows

    def description_of(self, file: InputFile) -> dict[str, Any]:
        """The description that ``AtomicParquet.publish`` put into a file; empty for other files."""
        if file.dialect is not None:
            return {}
        with _translate_errors(file.name), open_parquet(file.path, self.store) as opened:
            metadata = opened.metadata.metadata or {}
        return json.loads(metadata.get(DESCRIPTION.encode(), b"{}"))

    def duckdb(self) -> Any:
        """A connection that reads the files' store."""
        if self._connection is None:
            import duckdb

            try:
                self._connection = duckdb.connect(config=self._settings)
            except duckdb.Error as error:
                raise ValueError(
                    "resources.training_engine.config.memory_limit cannot be used: "
                    f"{short_reason(error)}. Write it such as 512MB or 2GB."
                ) from error
            if self.store is not None:
                # Not DuckDB's own httpfs: that is an extension to download at run time.
                self._connection.register_filesystem(self.store)
        return self._connection

    def check_unchanged(self) -> None:
        """Raises ``UnreadableFileError`` when a file is not what it was at the beginning."""
        check_versions({file.path: file.version for file in self.files})

    def close(self) -> None:
        if self._connection is not None:
            self._connection.close()


def _near(name: str, columns: Mapping[str, str]) -> str:
    plain = {plain_name(one): one for one in columns}
    near = difflib.get_close_matches(plain_name(name), plain, n=1, cutoff=0.7)
    return f" (the file has {plain[near[0]][:80]!r}; is it that?)" if near else ""
