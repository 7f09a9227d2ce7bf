"""The ``training_engine`` resource: the engine that reads the rows and makes the sums."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedResource
from wine_quality.engines.choice import EngineChoice

if TYPE_CHECKING:
    from wine_quality.engines.engine import Engine
    from wine_quality.engines.row_table import RowTable


class TrainingEngine(CheckedResource):
    """The engine that reads the rows: one file into memory, or files of any size in one pass."""

    engine: EngineChoice = Field(
        default=EngineChoice.in_memory,
        description='"in_memory": one CSV file, whole. "duckdb": Parquet or CSV of any size, on '
        'disk or in S3, in one pass by this machine. "spark": the same pass by a Spark cluster.',
    )
    folds: int = Field(
        default=5,
        ge=2,
        le=100,
        description="duckdb, spark: folds of the training part whose sums are kept; the sweep "
        "cross-validates on them.",
    )
    threads: int = Field(
        default=0, ge=0, le=256, description="duckdb: threads; 0 for one per processor."
    )
    memory_limit: str = Field(
        default="512MB", description="duckdb: of its own buffers, such as 512MB or 2GB."
    )
    spark_master: str = Field(
        default="local[*]",
        description="spark: local[*] for this machine, or a master that "
        "$WINE_QUALITY_ALLOWED_SPARK_MASTERS lists, such as spark://host:7077.",
    )
    spark_options: dict[str, str] = Field(
        default={},
        description='spark: sizes and numbers, such as {"spark.executor.memory": "4g"}; other '
        "properties are allowed by $WINE_QUALITY_ALLOWED_SPARK_OPTIONS.",
    )

    @property
    def is_streaming(self) -> bool:
        return self.engine != EngineChoice.in_memory

    def open(
        self, patterns: Sequence[str], table: RowTable | None = None, trusted: bool = False
    ) -> Engine:
        """The files that the patterns name, ready to be passed over.

        Args:
            table: The columns to read; None: the wines'.
            trusted: See ``input_files.find_files``.

        Raises:
            UnreadableFileError: a pattern names no file, or one cannot be opened.
            ValueError: the engine is ``in_memory``, or its settings cannot be used.
        """
        from wine_quality.engines.row_table import WINES

        table = table or WINES
        if self.engine == EngineChoice.duckdb:
            from wine_quality.engines.engine import DuckDBEngine

            return DuckDBEngine(patterns, self.threads, self.memory_limit, table, trusted)
        if self.engine == EngineChoice.spark:
            from wine_quality.engines.spark_engine import SparkEngine
            from wine_quality.policy.spark import check_master, check_options

            check_master(self.spark_master)
            check_options(self.spark_options)
            return SparkEngine(patterns, self.spark_master, self.spark_options, table, trusted)
        raise ValueError(
            "these rows were streamed, and resources.training_engine.config.engine is "
            '"in_memory". Pick the engine that read them, or have them read again too.'
        )

    def require_kind(self, streamed: bool, asset: str) -> None:
        """Check that an asset was made by an engine of the kind that is picked.

        Raises:
            ValueError: it was not; the message names both and what to do.
        """
        if streamed != self.is_streaming:
            made = "by a streaming engine" if streamed else "in memory"
            raise ValueError(
                f"{asset} was read {made}, but resources.training_engine.config.engine is "
                f'"{self.engine.value}". Pick the engine it was read with, or materialize {asset} '
                "again too."
            )
