"""The passes as Spark's tasks: an executor reads a piece by the very code of the other engines.

Spark assigns the pieces; each executor opens the files itself, local or S3. So a wine is in the
same part, a bad value is reported alike, and no jar for S3 is needed. The executors need this
package, NumPy, PyArrow, s3fs and threadpoolctl, and see the files under the driver's names.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from wine_quality.engines.batches import Piece, Reader, SourceFile, UnreadableFileError
from wine_quality.engines.input_files import expand, is_parquet
from wine_quality.engines.membership import Membership
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.row_table import WINES, Predictor, RowTable
from wine_quality.engines.scoring_pass import PieceScores, TestScores, score_piece, total_scores
from wine_quality.engines.threads import Progress, Report, one_blas_thread
from wine_quality.engines.training_pass import (
    FileSums,
    PieceSums,
    check_all_columns,
    combine_parts,
    sum_piece,
)

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Found = TypeVar("Found")

_SECONDS_BETWEEN_LOOKS = 0.5


def sum_files_on_spark(
    spark: SparkSession,
    patterns: Sequence[str],
    membership: Membership,
    progress: Progress | None = None,
) -> list[FileSums]:
    """As ``training_pass.sum_files``; the driver reads the files' footers, executors their rows."""
    return sum_on(spark, reader_of(expand(patterns)), membership, progress)


def reader_of(paths: Sequence[str], table: RowTable = WINES) -> Reader:
    """Opens the files: Parquet by Arrow, and where there is CSV by DuckDB."""
    if all(map(is_parquet, paths)):
        return ParquetReader(paths, table)
    from wine_quality.engines.duckdb_reader import DuckDBReader

    return DuckDBReader(paths, table=table)


def sum_on(
    spark: SparkSession,
    reader: Reader,
    membership: Membership,
    progress: Progress | None = None,
) -> list[FileSums]:
    """See ``training_pass.sum_files``."""
    check_all_columns(reader.files, reader.table)

    def work(opened: Reader, piece: Piece) -> PieceSums:
        return sum_piece(opened, piece, membership)

    return combine_parts(reader, membership, _in_tasks(spark, reader, work, progress))


def score_on(
    spark: SparkSession,
    reader: Reader,
    membership: Membership,
    model: Predictor,
    scale: tuple[float, float],
    progress: Progress | None = None,
) -> TestScores:
    """See ``scoring_pass.score_test_part``."""

    def work(opened: Reader, piece: Piece) -> PieceScores:
        return score_piece(opened, piece, membership, model.predict_matrix, scale)

    parts = _in_tasks(spark, reader, work, progress)
    reader.check_unchanged()
    return total_scores(parts, reader.table.noun)


@dataclass(frozen=True)
class _Task:
    """A piece, with the file as the driver saw it."""

    file: SourceFile
    piece: Piece


def _in_tasks(
    spark: SparkSession,
    reader: Reader,
    work: Callable[[Reader, Piece], Found],
    progress: Progress | None,
) -> list[Found]:
    """A task for each piece; results in the pieces' order."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    tasks = [_Task(reader.files[piece.file], piece) for piece in reader.pieces()]
    if not tasks:
        return []
    context, table = spark.sparkContext, reader.table
    rows_done = context.accumulator(0)

    def run(task: _Task) -> Any:
        try:
            with one_blas_thread():
                found = work(*_opened(task, table))
        except UnreadableFileError as error:
            return str(error)
        rows_done.add(task.piece.rows or 0)
        return found

    group = f"wine_quality-{id(tasks)}"
    results: list[Any] = []
    failed: list[BaseException] = []

    def collect() -> None:
        context.setJobGroup(group, f"A pass over {table.noun}s", interruptOnCancel=True)
        try:
            results.extend(context.parallelize(tasks, len(tasks)).map(run).collect())
        except (PySparkException, Py4JError, OSError) as error:
            failed.append(error)

    # In a thread of its own, so that Ctrl-C is heard and progress reported meanwhile.
    report, reported = Report(reader.files, progress), 0
    thread = threading.Thread(target=collect, daemon=True)
    thread.start()
    try:
        while thread.is_alive():
            thread.join(_SECONDS_BETWEEN_LOOKS)
            # A task that is tried again may count twice.
            done = int(rows_done.value)
            if done > reported:
                report.add(done - reported)
                reported = done
    except BaseException:
        context.cancelJobGroup(group)
        raise
    if failed:
        raise UnreadableFileError(
            f"Spark failed ({_reason(str(failed[0]))}); nothing was stored."
        ) from failed[0]
    for found, task in zip(results, tasks, strict=True):
        if isinstance(found, str):
            raise UnreadableFileError(
                found if task.file.path in found else f"{task.file.path}: {found}"
            )
    return [_in_file(found, task) for found, task in zip(results, tasks, strict=True)]


def _reason(text: str) -> str:
    """The line with the cause, from a trace that is mostly Java's around Python's: the task's own
    error, else Spark's."""
    lines = [line.strip() for line in text.splitlines()]
    pythons = [line for line in lines if re.match(r"[\w.]*(Error|Exception|Exit|File)\b: ", line)]
    named = [line for line in pythons if not line.startswith(("org.", "java.", "py4j."))]
    found = [*named, *(line for line in lines if "Exception: " in line), *lines]
    return found[0][:500] if found else "it does not say why"


def _opened(task: _Task, table: RowTable) -> tuple[Reader, Piece]:
    """The task's file alone, and its piece there.

    Raises:
        UnreadableFileError: it is not what the driver saw.
    """
    # By the very name that the driver has looked at: whether it may be read is known.
    reader = reader_of([task.file.path], table)
    [file] = reader.files
    if file.version != task.file.version:
        raise UnreadableFileError(
            f"{task.file.path} is another file where an executor reads it, or changed meanwhile; "
            "nothing of it was stored."
        )
    return reader, task.piece._replace(file=0)


def _in_file(found: Any, task: _Task) -> Any:
    """Sums with their file's place among all."""
    from dataclasses import replace

    return replace(found, file=task.piece.file) if isinstance(found, PieceSums) else found
