"""Parquet by Arrow's own reader: local or S3, each thread with row groups of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from wine_quality.engines.batches import (
    ROWS_PER_READING,
    Batch,
    Piece,
    SourceFile,
    UnreadableFileError,
    batches_of,
    group_pieces,
    row_group_at,
    translate_errors,
)
from wine_quality.engines.broken_rules import BrokenRule
from wine_quality.engines.input_files import (
    check_versions,
    open_parquet,
    size_and_version,
    store_of,
)
from wine_quality.engines.row_table import WINES, RowTable

if TYPE_CHECKING:
    import pyarrow.parquet as pq

_translate_errors = partial(translate_errors, cannot="cannot be read as Parquet")


class ParquetReader:
    """See ``batches.Reader``."""

    def __init__(self, paths: Sequence[str], table: RowTable = WINES) -> None:
        self.table = table
        self._opened = threading.local()
        self._store = store_of(paths)
        self._row_groups: list[list[int]] = []
        files = []
        for path in paths:
            size, version = size_and_version(path, self._store)
            with _translate_errors(path), open_parquet(path, self._store) as opened:
                meta = opened.metadata
                groups = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
                names = opened.schema_arrow.names
                repeated = sorted({name[:80] for name in names if names.count(name) > 1})
                if repeated:
                    raise UnreadableFileError(f"{path} names columns twice: {repeated[:5]}.")
                columns = {field.name: str(field.type) for field in opened.schema_arrow}
            self._row_groups.append(groups)
            files.append(SourceFile(path, size, version, sum(groups), columns))
        self.files: Sequence[SourceFile] = tuple(files)

    def pieces(self) -> list[Piece]:
        return [
            piece
            for file, groups in enumerate(self._row_groups)
            for piece in group_pieces(file, groups)
        ]

    def read(self, piece: Piece) -> Iterator[Batch]:
        path, first = self.files[piece.file].path, piece.first_row
        with _translate_errors(path):
            batches = self._of_thread(path).iter_batches(
                ROWS_PER_READING,
                row_groups=list(piece.row_groups),
                columns=list(self.table.names),
                use_threads=False,
            )
            for arrow in batches:
                yield from batches_of(first, arrow, self.table.names)
                first += arrow.num_rows

    def explain(self, piece: Piece, broken: Sequence[BrokenRule]) -> Sequence[BrokenRule]:
        groups = self._row_groups[piece.file]
        return [replace(one, row_group=row_group_at(groups, one.first_row)) for one in broken]

    def check_unchanged(self) -> None:
        check_versions({file.path: file.version for file in self.files})

    def close(self) -> None:
        self._opened = threading.local()

    def _of_thread(self, path: str) -> pq.ParquetFile:
        """Each thread keeps open the file that it reads."""
        if getattr(self._opened, "path", None) != path:
            self._opened.file, self._opened.path = open_parquet(path, self._store), path
        return self._opened.file
