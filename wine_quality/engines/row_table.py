"""The table of numbers that a pass reads: its columns, what they may hold, and which part each row
is in. The wines are one; a data set by declaration is another.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Protocol, cast

from wine_quality.datasets.contract import COLUMNS, ColumnContract
from wine_quality.engines.membership import (
    MULTIPLIERS,
    SCALES,
    TEST,
    Membership,
    buckets,
    mixed_buckets,
)
from wine_quality.engines.row_hash import hash_rows
from wine_quality.tables.dataset import Dataset, DeclarationError

if TYPE_CHECKING:
    import numpy as np


class Predictor(Protocol):
    """A model, as the second pass asks it; Spark sends it to the executors."""

    def predict_matrix(self, features: np.ndarray) -> np.ndarray:
        """From features of shape (n, k), in the table's order, to predictions of shape (n,)."""


@dataclass(frozen=True)
class RowTable:
    """Columns of numbers, the target last.

    Attributes:
        columns: Each with its type and range.
        scales: Of each column, by which a row's values become the whole numbers that identify it
            (``membership``); empty: the row's doubles identify it, every bit of them.
        multipliers: Of each column, for those whole numbers.
        noun: A row, in messages.
    """

    columns: tuple[ColumnContract, ...]
    scales: tuple[float, ...] = ()
    multipliers: tuple[int, ...] = ()
    noun: str = "row"

    @classmethod
    def of(cls, dataset: Dataset) -> RowTable:
        """The table of a data set: its features in their order, then the target.

        Raises:
            DeclarationError: the data set has columns of text, which no pass reads.
        """
        texts = [one.name for one in dataset.columns if one.dtype == "text"]
        if texts:
            raise DeclarationError(
                f"the data set {dataset.name} has columns of text ({', '.join(texts)}), and "
                "streaming engines read data sets of numbers only"
            )
        names = (*dataset.features, dataset.target)
        return cls(tuple(cast(ColumnContract, dataset.by_name[name]) for name in names))

    @cached_property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def target(self) -> str:
        return self.names[-1]

    @cached_property
    def contract(self) -> Mapping[str, ColumnContract]:
        """The columns by name, in their order."""
        return {column.name: column for column in self.columns}

    def buckets(self, columns: Sequence[np.ndarray], block: np.ndarray, seed: int) -> np.ndarray:
        """0 to 65,535 for each row, int64, of shape (n,): the same for equal rows.

        Args:
            columns: Of doubles, each of shape (n,), all finite.
            block: Of shape (m, n), to work in.
            seed: See ``Membership``.
        """
        import numpy as np

        if not self.scales:
            return mixed_buckets(hash_rows(columns), seed)
        for column, scale, numbers in zip(columns, self.scales, block, strict=True):
            np.multiply(column, scale, out=numbers)
        np.rint(block, out=block)
        return buckets(np.array(self.multipliers, dtype=float) @ block, seed)

    def is_test(self, rows: np.ndarray, membership: Membership) -> np.ndarray:
        """Which rows are in the test part, (n,).

        Args:
            rows: Of shape (m, n), columns in the table's order.
        """
        import numpy as np

        rows = np.ascontiguousarray(rows, dtype=float)
        found = self.buckets(list(rows), np.empty(rows.shape), membership.seed)
        return membership.groups()[found] == TEST


WINES = RowTable(tuple(COLUMNS.values()), SCALES, MULTIPLIERS, noun="wine")
"""The red wines, as ``datasets.contract`` declares them."""
