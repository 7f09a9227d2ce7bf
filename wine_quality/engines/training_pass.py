"""One pass over all files: the contract checked, and the sums of each part, fold and file."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from wine_quality.data.contract import TARGET
from wine_quality.engines.batches import Piece, Reader, SourceFile, UnreadableFile
from wine_quality.engines.block_sums import NAMES, BlockSums
from wine_quality.engines.broken_rules import (
    BrokenRule,
    ContractBroken,
    check_batch,
    check_columns,
    gather,
)
from wine_quality.engines.membership import TEST, Membership, groups_of
from wine_quality.engines.part_sums import PartSums
from wine_quality.training.moments import Moments

if TYPE_CHECKING:
    import numpy as np

Progress = Callable[[int, "int | None"], None]
"""Called with the rows read so far, and with all there are where that is known."""


@dataclass(frozen=True, eq=False)
class FileSums:
    """What one file adds; ``file.rows`` is what was read."""

    file: SourceFile
    sums: PartSums


def total_of(files: Sequence[FileSums]) -> PartSums:
    """Of all files, of which there must be one."""
    total = files[0].sums
    for one in files[1:]:
        total = total + one.sums
    return total


def sum_files(
    reader: Reader,
    membership: Membership,
    threads: int = 1,
    progress: Progress | None = None,
) -> list[FileSums]:
    """Read each file once.

    Returns:
        One for each file, in the reader's order.

    Raises:
        ContractBroken: with every broken rule of every file.
        UnreadableFile: a file failed half-way, or changed meanwhile. Nothing is returned then.
    """
    broken = [rule for file in reader.files for rule in check_columns(file)]
    if broken:
        raise ContractBroken(broken)
    report = _Report(reader.files, progress)

    def sum_piece(piece: Piece) -> tuple[int, int, PartSums, list[BrokenRule]]:
        path = reader.files[piece.file].path
        sums, rows = BlockSums(membership), 0
        found: list[BrokenRule] = []
        for batch in reader.read(piece):
            problems = check_batch(path, batch)
            if not problems and not found:
                sums.add(batch.wines)
            found += [_located(problem, piece, reader) for problem in problems]
            if len(found) > 1000:
                found = gather(found)
            rows += batch.wines.shape[1]
            report.add(batch.wines.shape[1])
        return piece.file, rows, PartSums.of(sums.moments(), membership), found

    totals = [PartSums.none(membership)] * len(reader.files)
    counts = [0] * len(reader.files)
    for file, rows, sums, found in _in_threads(sum_piece, reader.pieces(), threads):
        totals[file] += sums
        counts[file] += rows
        broken += found
    reader.check_unchanged()
    if broken:
        raise ContractBroken(gather(broken))
    return completed(reader.files, counts, totals)


def completed(
    files: Sequence[SourceFile], counts: Sequence[int], sums: Sequence[PartSums]
) -> list[FileSums]:
    """What each file adds.

    Raises:
        UnreadableFile: fewer or more rows were read than a file has.
    """
    for file, count in zip(files, counts, strict=True):
        if file.rows is not None and count != file.rows:
            raise UnreadableFile(
                f"{file.path} has {file.rows} rows, of which {count} were read; nothing was stored."
            )
    return [
        FileSums(replace(file, rows=count), one)
        for file, count, one in zip(files, counts, sums, strict=True)
    ]


def score_test_part(
    reader: Reader,
    membership: Membership,
    coefficients: np.ndarray,
    intercept: float,
    threads: int = 1,
    progress: Progress | None = None,
) -> dict[str, float]:
    """The second pass: MAE on the test part, with the RMSE and R² of the same rows.

    Args:
        coefficients: Of the features in the contract's order.
        intercept: Of the model.
    """
    import numpy as np

    report = _Report(reader.files, progress)
    target = NAMES.index(TARGET)
    weights = np.zeros(len(NAMES))
    weights[[i for i in range(len(NAMES)) if i != target]] = coefficients

    def errors(piece: Piece) -> tuple[int, float, float, Moments]:
        n, absolute, squared = 0, 0.0, 0.0
        actual = Moments.none(NAMES[target : target + 1])
        for batch in reader.read(piece):
            wines = batch.wines
            tested = wines[:, groups_of(wines.T, membership) == TEST]
            residuals = tested[target] - weights @ tested - intercept
            n += len(residuals)
            absolute += float(np.abs(residuals).sum())
            squared += float(residuals @ residuals)
            actual += Moments.of_rows(actual.columns, tested[target][:, None])
            report.add(wines.shape[1])
        return n, absolute, squared, actual

    parts = list(_in_threads(errors, reader.pieces(), threads))
    reader.check_unchanged()
    n = sum(part[0] for part in parts)
    if not n:
        raise ValueError("no wine is in the test part. Raise test_fraction, or use more data.")
    squared = sum(part[2] for part in parts)
    varied = float(Moments.total(part[3] for part in parts).cross[0, 0])
    return {
        "rmse": (squared / n) ** 0.5,
        "mae": sum(part[1] for part in parts) / n,
        "r2": 1 - squared / varied if varied else float("nan"),
    }


def _located(rule: BrokenRule, piece: Piece, reader: Reader) -> BrokenRule:
    group = reader.row_group_of(piece, rule.first_row) if piece.row_groups else None
    return replace(rule, row_group=group)


def _in_threads(work: Callable[[Piece], Any], pieces: Iterable[Piece], threads: int) -> Iterator:
    """Results in the pieces' order; the first error stops what has not begun."""
    with one_blas_thread(), ThreadPoolExecutor(threads) as pool:
        waiting = [pool.submit(work, piece) for piece in pieces]
        try:
            for future in waiting:
                yield future.result()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """BLAS's own threads would only wait for each other on matrices as small as these."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, user_api="blas"):
        yield


class _Report:
    """Adds up the rows that the threads have read."""

    def __init__(self, files: Sequence[SourceFile], progress: Progress | None) -> None:
        rows = [file.rows for file in files]
        self._all = None if None in rows else sum(count or 0 for count in rows)
        self._progress = progress
        self._done = 0
        self._lock = threading.Lock()

    def add(self, rows: int) -> None:
        if self._progress is None:
            return
        with self._lock:
            self._done += rows
            self._progress(self._done, self._all)
