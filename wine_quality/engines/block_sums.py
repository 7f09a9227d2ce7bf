"""The sums of rows by part and fold, a block of rows at a time: what every engine computes.

In SQL each product (of the wines 78) is a pass of its own over the rows, for each group. Here a
block that fits the processor's cache is sorted by group, and BLAS multiplies it with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wine_quality.engines.membership import Membership
from wine_quality.engines.row_table import WINES, RowTable
from wine_quality.models.elastic_net.moments import Moments

if TYPE_CHECKING:
    import numpy as np

BLOCK = 1 << 14
# Values are shifted by the mean of the first rows, anew after so many: sums that drift away from
# their shift would cancel.
_ROWS_PER_SHIFT = 1 << 17
_SHIFT_ROWS = 256


class BlockSums:
    """Sums up what one thread reads."""

    def __init__(self, membership: Membership, table: RowTable = WINES) -> None:
        import numpy as np

        self._rows_table, m = table, len(table.names)
        groups = membership.groups()
        self._seed = membership.seed
        self._kinds = [int(kind) for kind in np.unique(groups)]
        self._table = np.searchsorted(self._kinds, groups).astype(np.uint8)
        # First what identifies the rows, then the rows in the order of groups.
        self._block = np.empty((m, BLOCK))
        self._ones = np.ones(BLOCK)
        self._shift = np.zeros(m)
        self._rows = 0
        self._counts = np.zeros(len(self._kinds), dtype=np.int64)
        self._sums = np.zeros((len(self._kinds), m))
        self._products = np.zeros((len(self._kinds), m, m))
        self._moments = {kind: Moments.none(table.names) for kind in self._kinds}

    def add(self, columns: Sequence[np.ndarray]) -> None:
        """Rows, as columns of doubles in the table's order, all finite."""
        for start in range(0, len(columns[0]), BLOCK):
            block = [column[start : start + BLOCK] for column in columns]
            if not self._rows:
                self._shift = _near_means(block)
            self._add_block(block)
            self._rows += len(block[0])
            if self._rows >= _ROWS_PER_SHIFT:
                self._flush()

    def moments(self) -> dict[int, Moments]:
        """Of all rows added so far, by fold (``membership.TEST`` for the test part)."""
        self._flush()
        return dict(self._moments)

    def _flush(self) -> None:
        for group, kind in enumerate(self._kinds):
            self._moments[kind] += Moments.of_shifted_sums(
                self._rows_table.names,
                int(self._counts[group]),
                self._shift,
                self._sums[group],
                self._products[group],
            )
        for totals in (self._counts, self._sums, self._products):
            totals[:] = 0
        self._rows = 0

    def _add_block(self, columns: Sequence[np.ndarray]) -> None:
        import numpy as np

        n = len(columns[0])
        block = self._block[:, :n]
        groups = self._table.take(self._rows_table.buckets(columns, block, self._seed))
        order = groups.argsort(kind="stable")
        for column, ordered in zip(columns, block, strict=True):
            column.take(order, out=ordered, mode="clip")
        block -= self._shift[:, None]
        counts = np.bincount(groups, minlength=len(self._kinds))
        self._counts += counts
        start = 0
        for group, count in enumerate(counts.tolist()):
            rows = block[:, start : start + count]
            self._products[group] += rows @ rows.T
            self._sums[group] += rows @ self._ones[:count]
            start += count


def _near_means(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Exactly the value of a constant column, whose deviations are then exactly zero."""
    import numpy as np

    first = np.array([column[:_SHIFT_ROWS] for column in columns])
    return first[:, 0] + (first - first[:, :1]).mean(axis=1)
