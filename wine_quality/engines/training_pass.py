"""One pass over all files: the contract checked, and the sums of each part, fold and file."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from wine_quality.engines.batches import (
    ROWS_PER_BATCH,
    Piece,
    Reader,
    SourceFile,
    UnreadableFileError,
)
from wine_quality.engines.block_sums import BlockSums
from wine_quality.engines.broken_rules import (
    BrokenFilesError,
    BrokenRule,
    check_batch,
    check_columns,
    gather,
)
from wine_quality.engines.membership import Membership
from wine_quality.engines.row_hash import RowHasher, RowsHash
from wine_quality.engines.row_table import WINES, RowTable
from wine_quality.engines.sample import RowSample, stride_for
from wine_quality.engines.split_sums import SplitSums
from wine_quality.engines.threads import Progress, Report, in_threads


@dataclass(frozen=True, eq=False)
class FileSums:
    """Sums, sample and hash of one file; ``file.rows`` is the number of rows that were read."""

    file: SourceFile
    sums: SplitSums
    sample: RowSample
    rows_hash: RowsHash


@dataclass(frozen=True, eq=False)
class PieceSums:
    """Sums, sample, hash and broken rules of one piece, read by a thread or a Spark executor."""

    file: int
    rows: int
    sums: SplitSums
    sample: RowSample
    rows_hash: RowsHash
    broken: Sequence[BrokenRule]


class Summed(Protocol):
    """The sums and the sample of one file, from this pass or stored."""

    @property
    def sums(self) -> SplitSums: ...

    @property
    def sample(self) -> RowSample: ...


def total_of(files: Sequence[Summed]) -> SplitSums:
    """The sums over all files; at least one is required."""
    total = files[0].sums
    for one in files[1:]:
        total = total + one.sums
    return total


def sample_of(files: Iterable[Summed], names: tuple[str, ...] = WINES.names) -> RowSample:
    """One sample over the rows of all files, each with the same probability."""
    sample = RowSample.none(names)
    for one in files:
        sample += one.sample
    return sample


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
        BrokenFilesError: with every broken rule of every file.
        UnreadableFileError: a file failed half-way, or changed meanwhile. Nothing is returned then.
    """
    check_all_columns(reader.files, reader.table)
    report = Report(reader.files, progress)
    found = in_threads(
        lambda piece: sum_piece(reader, piece, membership, report.add), reader.pieces(), threads
    )
    return combine_parts(reader, membership, found)


def check_all_columns(files: Sequence[SourceFile], table: RowTable = WINES) -> None:
    """Check the columns of all files, before any row is read.

    Raises:
        BrokenFilesError: with every column of every file that is missing, unknown or no number.
    """
    broken = [rule for file in files for rule in check_columns(file, table)]
    if broken:
        raise BrokenFilesError(broken)


def sum_piece(
    reader: Reader,
    piece: Piece,
    membership: Membership,
    report: Callable[[int], None] = lambda _rows: None,
) -> PieceSums:
    """The sums of one piece, in one thread or executor; ``report`` gets the number of rows of each
    batch."""
    file, table = reader.files[piece.file], reader.table
    stride = stride_for(file.rows)
    sums, sample, rows = BlockSums(membership, table), RowSample.none(table.names), 0
    hashed = RowHasher(ROWS_PER_BATCH)
    broken: list[BrokenRule] = []
    for batch in reader.read(piece):
        problems = check_batch(file.path, batch, table)
        if not problems and not broken:
            sums.add(batch.columns)
            hashed.add(batch.columns)
            coarser = max(stride, sample.stride)
            sample += RowSample.of(batch.first_row, batch.columns, coarser, table.names)
        broken += problems
        if len(broken) > 1000:
            broken = gather(broken)
        rows += batch.rows
        report(batch.rows)
    if broken:
        broken = list(reader.explain(piece, gather(broken)))
    parts = SplitSums.of(sums.moments(), membership, table.names)
    return PieceSums(piece.file, rows, parts, sample, hashed.total, broken)


def combine_parts(
    reader: Reader, membership: Membership, pieces: Iterable[PieceSums]
) -> list[FileSums]:
    """The sums of each file, in the reader's order, from its pieces in any order.

    Raises:
        BrokenFilesError: with every broken rule of every file.
        UnreadableFileError: a file changed, or fewer or more rows were read than it has.
    """
    files, names = reader.files, reader.table.names
    totals = [SplitSums.none(membership, names)] * len(files)
    samples = [RowSample.none(names)] * len(files)
    hashes = [RowsHash()] * len(files)
    counts = [0] * len(files)
    broken: list[BrokenRule] = []
    for piece in pieces:
        totals[piece.file] += piece.sums
        samples[piece.file] += piece.sample
        hashes[piece.file] += piece.rows_hash
        counts[piece.file] += piece.rows
        broken += piece.broken
    reader.check_unchanged()
    if broken:
        raise BrokenFilesError(gather(broken))
    for file, count in zip(files, counts, strict=True):
        if file.rows is not None and count != file.rows:
            raise UnreadableFileError(
                f"{file.path} has {file.rows} rows, of which {count} were read; nothing was stored."
            )
    return [
        FileSums(replace(file, rows=count), sums, sample, rows_hash)
        for file, count, sums, sample, rows_hash in zip(
            files, counts, totals, samples, hashes, strict=True
        )
    ]
