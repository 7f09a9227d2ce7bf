"""A data set that is passed over and not loaded: its files, and the sums that are kept of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import LeftOut
from wine_quality.engines.row_hash import RowsHash
from wine_quality.engines.row_table import Predictor, RowTable
from wine_quality.engines.sample import CAPACITY, RowSample
from wine_quality.engines.split_sums import SplitSums
from wine_quality.engines.threads import progress_lines
from wine_quality.engines.training_pass import check_all_columns, sample_of, total_of

if TYPE_CHECKING:
    import pandas as pd

    from wine_quality.engines.engine import Engine
    from wine_quality.engines.membership import Membership
    from wine_quality.engines.resource import TrainingEngine

_CELLS = 200_000
"""Of the sample that is kept: about 4 MB of JSON."""
_FEWEST = 256
_ANYTHING = (float("-inf"), float("inf"))


@dataclass(frozen=True)
class TableFiles:
    """The files of a data set, as they were when they were looked at.

    Attributes:
        source: Where they lie, as it may be shown.
        trusted: Whether the code named them, and not run config.
        versions: By path, what changes when a file's content does.
        rows: By the files' footers; None where only reading them gives the number (CSV).
    """

    source: str
    trusted: bool
    versions: dict[str, str]
    rows: int | None


def inspect_table(
    engine: TrainingEngine, table: RowTable, pattern: str, shown: str, trusted: bool
) -> tuple[TableFiles, Sequence[LeftOut]]:
    """The files of a pattern, and those that are left out; no row is read.

    Args:
        pattern: See ``input_files.find_files``, for ``trusted`` too.

    Raises:
        UnreadableFileError: there is no such file, or it cannot be read.
        BrokenFilesError: columns are missing, unknown or no numbers.
    """
    opened = engine.open([pattern], table, trusted)
    try:
        check_all_columns(opened.files, table)
        counts = [file.rows for file in opened.files]
        rows = None if None in counts else sum(count or 0 for count in counts)
        versions = {file.path: file.version for file in opened.files}
        return TableFiles(shown, trusted, versions, rows), opened.left_out
    finally:
        opened.close()


@dataclass(frozen=True, eq=False)
class StreamedTable:
    """The sums over the rows of a data set, in a training and a test part, and a sample of them.

    Attributes:
        files: That were read, and are read once more to measure a model.
        sums: Of all rows, by part and fold.
        sample: Of all rows alike.
        sha256: Of the rows' values, the same in any file, format and order.
    """

    table: RowTable
    files: TableFiles
    sums: SplitSums
    sample: RowSample
    sha256: str

    @classmethod
    def read(
        cls,
        engine: TrainingEngine,
        table: RowTable,
        files: TableFiles,
        membership: Membership,
        say: Callable[[str], None],
    ) -> StreamedTable:
        """One pass over the files, in memory that does not grow with their rows.

        Raises:
            UnreadableFileError: a file cannot be read, has changed, or all are empty.
            BrokenFilesError: rows break the contract; it names each rule.
            ValueError: no row is in one of the parts.
        """
        with _opened(engine, table, files) as opened:
            found = opened.sum_files(membership, progress_lines(say, "Summed up"))
        if not any(one.file.rows for one in found):
            raise UnreadableFileError(f"{files.source} has no rows.")
        sums, sample = total_of(found), sample_of(found, table.names)
        for part, rows in (("training", sums.train.n), ("test", sums.test.n)):
            if not rows:
                raise ValueError(
                    f"none of the {sums.train.n + sums.test.n} row(s) is in the {part} part. "
                    "Change test_fraction, or use more data."
                )
        kept = sample.thinned(max(_FEWEST, min(CAPACITY, _CELLS // len(table.names))))
        sha256 = RowsHash.total(one.rows_hash for one in found).sha256
        return cls(table, files, sums, kept, sha256)

    def examples(self, part: str) -> pd.DataFrame:
        """The rows of the sample that are of a part (``train`` or ``test``), as doubles."""
        tested = self.table.is_test(self.sample.wines, self.sums.membership)
        frame = self.sample.to_frame()[tested if part == "test" else ~tested]
        return frame.reset_index(drop=True)

    def measure(self, engine: TrainingEngine, model: Predictor) -> dict[str, float]:
        """RMSE and MAE in units of the target, and R², over all rows of the test part.

        Raises:
            UnreadableFileError: a file cannot be read, or is not what it was.
        """
        with _opened(engine, self.table, self.files) as opened:
            return opened.score_test_part(self.sums.membership, model, _ANYTHING).metrics

    def to_plain(self) -> dict[str, Any]:
        """For JSON; the table is the data set's."""
        return {
            "files": asdict(self.files),
            "sums": self.sums.to_plain(),
            "sample": self.sample.to_plain(),
            "sha256": self.sha256,
        }

    @classmethod
    def from_plain(cls, table: RowTable, plain: Mapping[str, Any]) -> StreamedTable:
        """Restore sums from ``to_plain``.

        Raises:
            ValueError: it is something else, or of a data set with other columns.
        """
        try:
            files = TableFiles(**plain["files"])
            sums = SplitSums.from_plain(plain["sums"])
            if sums.test.columns != table.names:
                raise ValueError(
                    f"the sums are of the columns {', '.join(sums.test.columns)}, and the data set "
                    f"has {', '.join(table.names)} now: read it again"
                )
            sample = RowSample.from_plain(plain["sample"], table.names)
            return cls(table, files, sums, sample, str(plain["sha256"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"no sums of a data set ({error})") from error


@contextmanager
def _opened(engine: TrainingEngine, table: RowTable, files: TableFiles) -> Iterator[Engine]:
    opened = engine.open(list(files.versions), table, files.trusted)
    try:
        for file in opened.files:
            if file.version != files.versions.get(file.path):
                raise UnreadableFileError(
                    f"{file.path} is not what it was when it was looked at. Materialize the data "
                    "and what follows again, when the file is written completely."
                )
        yield opened
    finally:
        opened.close()
