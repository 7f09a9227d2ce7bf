"""The interface of all streaming engines, and the one that runs in this process (DuckDB)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Protocol

from wine_quality.engines.batches import Reader, SourceFile
from wine_quality.engines.input_files import LeftOut, find_files, is_parquet
from wine_quality.engines.membership import Membership
from wine_quality.engines.row_table import WINES, Predictor, RowTable
from wine_quality.engines.scoring_pass import TestScores, score_test_part
from wine_quality.engines.threads import Progress
from wine_quality.engines.training_pass import FileSums, sum_files


class Engine(Protocol):
    """Files that are open, and the two passes over them.

    Attributes:
        name: As ``training_engine`` calls it.
        files: As they were when the engine opened them.
        left_out: Files of a folder or pattern that are not read, and why.
    """

    name: str
    files: Sequence[SourceFile]
    left_out: Sequence[LeftOut]

    def sum_files(self, membership: Membership, progress: Progress | None = None) -> list[FileSums]:
        """See ``training_pass.sum_files``."""

    def score_test_part(
        self,
        membership: Membership,
        model: Predictor,
        scale: tuple[float, float],
        progress: Progress | None = None,
    ) -> TestScores:
        """See ``scoring_pass.score_test_part``."""

    def close(self) -> None:
        """Give back what it holds."""


class DuckDBEngine:
    """See ``Engine``: DuckDB in this process.

    Parquet in S3 is opened by Arrow: through s3fs it asks for long ranges, a column after another,
    where DuckDB asks for short ones from place to place, and got seven times the bytes.
    """

    name = "duckdb"

    def __init__(
        self,
        patterns: Sequence[str],
        threads: int = 0,
        memory_limit: str = "512MB",
        table: RowTable = WINES,
        trusted: bool = False,
    ) -> None:
        """Opens the files.

        Args:
            patterns: Files and patterns, local or ``s3://``, Parquet or CSV.
            threads: 0 for as many as there are processors to use.
            memory_limit: Of DuckDB's own buffers.
            table: The columns to read.
            trusted: See ``input_files.find_files``.

        Raises:
            UnreadableFileError: a pattern names no file, or one cannot be opened.
        """
        from wine_quality.engines.duckdb_reader import DuckDBReader
        from wine_quality.engines.parquet_reader import ParquetReader

        self._threads = threads or len(os.sched_getaffinity(0))
        paths, self.left_out = find_files(patterns, trusted)
        self._reader: Reader
        if all(path.startswith("s3://") and is_parquet(path) for path in paths):
            self._reader = ParquetReader(paths, table)
        else:
            self._reader = DuckDBReader(paths, self._threads, memory_limit, table)
        self.files = self._reader.files

    def sum_files(self, membership: Membership, progress: Progress | None = None) -> list[FileSums]:
        return sum_files(self._reader, membership, self._threads, progress)

    def score_test_part(
        self,
        membership: Membership,
        model: Predictor,
        scale: tuple[float, float],
        progress: Progress | None = None,
    ) -> TestScores:
        return score_test_part(
            self._reader, membership, model.predict_matrix, scale, self._threads, progress
        )

    def close(self) -> None:
        self._reader.close()
