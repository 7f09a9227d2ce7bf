"""The same pass on Spark: its executors read Parquet and run the very code of the other engines.

Each partition's rows go to ``BlockSums`` as Arrow batches (``mapInArrow``), so a wine is in the
same part, and the contract is the same, as anywhere else. The executors need this package, NumPy
and PyArrow: on a cluster put them into ``spark.archives`` or the image.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from wine_quality.engines.batches import ROWS_PER_BATCH, UnreadableFile, batch_of, row_group_at
from wine_quality.engines.block_sums import NAMES, BlockSums
from wine_quality.engines.broken_rules import (
    BrokenRule,
    ContractBroken,
    check_batch,
    check_columns,
    gather,
)
from wine_quality.engines.membership import Membership
from wine_quality.engines.parquet_reader import ParquetReader
from wine_quality.engines.part_sums import PartSums
from wine_quality.engines.training_pass import FileSums, completed, one_blas_thread

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

_FILE, _ROW = "_file", "_row"


def sum_files_on_spark(
    spark: SparkSession, places: Sequence[str], membership: Membership
) -> list[FileSums]:
    """As ``sum_files``; the driver reads the files' footers, the executors their rows.

    Raises:
        ContractBroken: with every broken rule of every file.
        UnreadableFile: a file failed half-way, or changed meanwhile. Nothing is returned then.
    """
    reader = ParquetReader(places)
    broken = [rule for file in reader.files for rule in check_columns(file)]
    if broken:
        raise ContractBroken(broken)
    # Files without rows have no partition, and Spark cannot tell an empty list's schema.
    filled = {file.path: place for place, file in enumerate(reader.files) if file.rows}
    counts = [0] * len(reader.files)
    sums = [PartSums.none(membership)] * len(reader.files)
    for path, found in _results(spark, list(filled), membership):
        place = filled[path]
        counts[place] += found["rows"]
        sums[place] += PartSums.from_plain(found["sums"])
        for plain in found["broken"]:
            group = row_group_at(reader.rows_of_groups(place), plain["first_row"])
            broken.append(replace(BrokenRule(**plain), path=path, row_group=group))
    reader.check_unchanged()
    if broken:
        raise ContractBroken(gather(broken))
    return completed(reader.files, counts, sums)


def _results(
    spark: SparkSession, paths: list[str], membership: Membership
) -> list[tuple[str, dict[str, Any]]]:
    """By file what its partitions found, in no order."""
    if not paths:
        return []
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", str(ROWS_PER_BATCH))
    frame = spark.createDataFrame(
        [(place, told) for place, path in enumerate(paths) for told in _as_told(path)],
        "place int, path string",
    )
    try:
        hashed = frame.selectExpr("place", "xxhash64(path)").collect()
        by_hash = {int(code): paths[place] for place, code in hashed}
        if len(by_hash) < len(hashed):
            raise UnreadableFile("two of the files' names have the same hash; rename one.")
        rows = _wines(spark, paths).mapInArrow(
            _summing(membership), "file bigint, found string", barrier=False
        )
        return [(by_hash[row["file"]], json.loads(row["found"])) for row in rows.collect()]
    except (PySparkException, Py4JError) as error:
        first = str(error).splitlines()[0]
        raise UnreadableFile(f"Spark failed ({first}); nothing was stored.") from error


def _wines(spark: SparkSession, paths: list[str]) -> DataFrame:
    columns = [f"CAST(`{name}` AS DOUBLE) AS `{name}`" for name in NAMES]
    return spark.read.parquet(*map(_for_spark, paths)).selectExpr(
        *columns, f"xxhash64(_metadata.file_path) AS {_FILE}", f"_metadata.row_index AS {_ROW}"
    )


def _for_spark(path: str) -> str:
    """A URL that Spark reads; it calls S3 by another name."""
    from pathlib import Path

    if path.startswith("s3://"):
        return "s3a://" + path.removeprefix("s3://")
    return f"file://{Path(path).resolve()}"


def _as_told(path: str) -> set[str]:
    """What ``_metadata.file_path`` may say of it: three slashes or one, %20 for a space or not."""
    from urllib.parse import quote

    scheme, _, rest = _for_spark(path).partition("://")
    slashes = ("://", ":") if scheme == "file" else ("://",)
    return {f"{scheme}{slash}{name}" for slash in slashes for name in (rest, quote(rest))}


def _summing(membership: Membership):
    """What runs in the executors: a function of a partition's batches."""

    def sum_partition(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        import pyarrow as pa

        found: dict[int, _FileOfPartition] = {}
        with one_blas_thread():
            for whole in batches:
                for batch in _by_file(whole):
                    code = batch.column(_FILE)[0].as_py()
                    if code not in found:
                        found[code] = _FileOfPartition(membership)
                    found[code].add(batch)
        results = [json.dumps(one.plain()) for one in found.values()]
        yield pa.RecordBatch.from_pydict(
            {
                "file": pa.array(list(found), pa.int64()),
                "found": pa.array(results, pa.string()),
            }
        )

    return sum_partition


def _by_file(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Runs of rows of one file."""
    import numpy as np

    codes = batch.column(_FILE).to_numpy()
    ends = [*(np.flatnonzero(np.diff(codes)) + 1).tolist(), len(codes)]
    start = 0
    for end in ends:
        if end > start:
            yield batch.slice(start, end - start)
        start = end


class _FileOfPartition:
    """The rows of one file in one partition."""

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._sums = BlockSums(membership)
        self._rows = 0
        self._broken: list[BrokenRule] = []

    def add(self, arrow: pa.RecordBatch) -> None:
        # Rows of a row group stay together, in their order.
        batch = batch_of(arrow.column(_ROW)[0].as_py(), arrow, NAMES)
        problems = check_batch("", batch)
        if not problems and not self._broken:
            self._sums.add(batch.wines)
        self._broken = gather([*self._broken, *problems])
        self._rows += len(batch.wines[0])

    def plain(self) -> dict[str, Any]:
        sums = PartSums.of(self._sums.moments(), self._membership)
        broken = [asdict(rule) for rule in self._broken]
        return {"rows": self._rows, "sums": sums.to_plain(), "broken": broken}
