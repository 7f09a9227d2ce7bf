"""The data contract on batches, without a second reading: what is wrong, how often, where first."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from wine_quality.datasets.contract import ColumnContract, Violation, check_column_names, summarize
from wine_quality.engines.batches import Batch, SourceFile
from wine_quality.engines.row_table import WINES, RowTable
from wine_quality.escaping import ShownError

if TYPE_CHECKING:
    import numpy as np

_INFINITE = float("inf")
_TEXT_TYPES = ("string", "varchar", "utf8", "binary", "blob", "bool", "date", "time", "struct")


@dataclass(frozen=True)
class BrokenRule:
    """One rule that rows of one file break.

    Attributes:
        path: The file.
        column: Name in the contract.
        problem: As in ``contract.Violation``.
        count: Rows.
        first_row: The first of them, from 0.
        row_group: Where that row is in a Parquet file; None elsewhere.
        violation: The same of a text file, with its lines.
    """

    path: str
    column: str
    problem: str
    count: int = 0
    first_row: int = 0
    row_group: int | None = None
    violation: Violation | None = None

    @classmethod
    def of_text(cls, path: str, violation: Violation) -> BrokenRule:
        column, problem, count = violation.column, violation.problem, violation.count
        return cls(path, column, problem, count, violation=violation)

    def __str__(self) -> str:
        if self.violation:
            return f"{self.path}: {self.violation}"
        where = f"{self.path}: column {self.column!r} {self.problem}"
        if not self.count:
            return where
        group = "" if self.row_group is None else f" (row group {self.row_group})"
        return f"{where} in {self.count} row(s), first in row {self.first_row + 1}{group}"


class BrokenFilesError(ShownError):
    """Files that break the data contract; nothing of them was stored."""

    def __init__(self, broken: Sequence[BrokenRule]) -> None:
        self.broken = tuple(broken)
        violations = [rule.violation for rule in broken if rule.violation]
        if len(violations) == len(broken) and len({rule.path for rule in broken}) == 1:
            # In the words of a file that is loaded.
            text = f"{broken[0].path} breaks the data contract. {summarize(violations)}"
        else:
            text = f"The data contract is broken. {summarize(list(broken))}"
        super().__init__(text)


def check_columns(file: SourceFile, table: RowTable = WINES) -> list[BrokenRule]:
    """Missing and unknown columns and those that hold no numbers, from the file's schema."""
    wrong = check_column_names(list(file.columns), table.names)
    if file.rows is None:
        return [BrokenRule.of_text(file.path, violation) for violation in wrong]
    broken = [BrokenRule(file.path, one.column, one.problem) for one in wrong]
    for name, kind in file.columns.items():
        if name in table.names and kind.lower().startswith(_TEXT_TYPES):
            broken.append(BrokenRule(file.path, name, f"holds {kind}, not numbers"))
    return broken


def check_batch(path: str, batch: Batch, table: RowTable = WINES) -> list[BrokenRule]:
    """Fast where nothing is wrong: the least and the greatest value of each column."""
    broken = []
    for column, contract in zip(batch.columns, table.columns, strict=True):
        # Both are NaN when one value is; a range that is open holds no infinity.
        lowest, highest = column.min(), column.max()
        fits = contract.minimum <= lowest and highest <= contract.maximum
        fits = fits and lowest > -_INFINITE and highest < _INFINITE
        if not fits or (contract.dtype == "int" and not _is_whole(column)):
            broken += _rules(path, contract, column, batch.first_row)
    return broken


def _is_whole(column: np.ndarray) -> bool:
    import numpy as np

    return bool((np.rint(column) == column).all())


def _rules(
    path: str, contract: ColumnContract, column: np.ndarray, first_row: int
) -> list[BrokenRule]:
    import numpy as np

    empty, infinite = np.isnan(column), np.isinf(column)
    with np.errstate(invalid="ignore"):
        outside = (column < contract.minimum) | (column > contract.maximum)
        fraction = (column % 1 != 0) & (contract.dtype == "int")
    span = f"lies outside {contract.minimum:g} to {contract.maximum:g} {contract.unit}".rstrip()
    return [
        BrokenRule(path, contract.name, problem, int(mask.sum()), first_row + int(mask.argmax()))
        for problem, mask in (
            ("is empty or NaN", empty),
            ("is infinite", infinite),
            (span, outside & ~infinite),
            ("is not a whole number", fraction & ~empty & ~infinite),
        )
        if mask.any()
    ]


def gather(broken: Iterable[BrokenRule]) -> list[BrokenRule]:
    """Each rule of each file once, with all its rows counted, the earliest named."""
    found: dict[tuple[str, str, str], BrokenRule] = {}
    for rule in broken:
        key = (rule.path, rule.column, rule.problem)
        known = found.get(key)
        if known is not None:
            earlier = min(known, rule, key=lambda one: one.first_row)
            rule = replace(earlier, count=known.count + rule.count)
        found[key] = rule
    return sorted(found.values(), key=lambda rule: (rule.path, rule.first_row))
