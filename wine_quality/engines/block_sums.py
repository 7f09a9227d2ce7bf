"""The sums of wines by part and fold, a block of rows at a time: what every engine computes.

In SQL each of the 78 products is a pass of its own over the rows, for each group. Here a block that
fits the processor's cache is sorted by group, and BLAS multiplies it with itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wine_quality.data.contract import COLUMNS
from wine_quality.engines.membership import MULTIPLIERS, SCALES, Membership, buckets
from wine_quality.training.moments import Moments

if TYPE_CHECKING:
    import numpy as np

NAMES = tuple(COLUMNS)
BLOCK = 8192
# Values are shifted by the mean of the first rows, anew after so many: sums that drift away from
# their shift would cancel.
_ROWS_PER_SHIFT = 1 << 17
_SHIFT_ROWS = 256


class BlockSums:
    """Sums up what one thread reads."""

    def __init__(self, membership: Membership) -> None:
        import numpy as np

        m = len(NAMES)
        table = membership.groups()
        self._seed = membership.seed
        self._kinds = [int(kind) for kind in np.unique(table)]
        self._table = np.searchsorted(self._kinds, table).astype(np.uint8)
        self._multipliers = np.array(MULTIPLIERS, dtype=float)
        # The last row, of ones, makes the sums and counts in the products.
        self._shifted = np.ones((m + 1, BLOCK))
        # First the whole numbers that identify the wines, then the wines in the order of groups.
        self._second = np.empty((m + 1, BLOCK))
        self._shift = np.zeros(m)
        self._rows = 0
        self._totals = np.zeros((len(self._kinds), m + 1, m + 1))
        self._moments = {kind: Moments.none(NAMES) for kind in self._kinds}

    def add(self, columns: Sequence[np.ndarray]) -> None:
        """Rows, as the contract's columns in its order: doubles of shape (n,), all finite."""
        for start in range(0, len(columns[0]), BLOCK):
            block = [column[start : start + BLOCK] for column in columns]
            if not self._rows:
                self._shift[:] = [_near_mean(column[:_SHIFT_ROWS]) for column in block]
            self._add_block(block)
            self._rows += len(block[0])
            if self._rows >= _ROWS_PER_SHIFT:
                self._flush()

    def moments(self) -> dict[int, Moments]:
        """Of all rows added so far, by fold (``membership.TEST`` for the test part)."""
        self._flush()
        return dict(self._moments)

    def _flush(self) -> None:
        m = len(NAMES)
        for kind, total in zip(self._kinds, self._totals, strict=True):
            # A copy: the work space is used again.
            self._moments[kind] += Moments.of_shifted_sums(
                NAMES, round(total[m, m]), self._shift.copy(), total[m, :m], total[:m, :m]
            )
        self._totals[:] = 0
        self._rows = 0

    def _add_block(self, columns: Sequence[np.ndarray]) -> None:
        import numpy as np

        n = len(columns[0])
        numbers, shifted = self._second[:-1, :n], self._shifted[:, :n]
        for place, column in enumerate(columns):
            np.multiply(column, SCALES[place], out=numbers[place])
            np.subtract(column, self._shift[place], out=shifted[place])
        np.rint(numbers, out=numbers)
        groups = self._table.take(buckets(self._multipliers @ numbers, self._seed))
        order = groups.argsort(kind="stable")
        ordered = self._second if n == BLOCK else np.empty((len(shifted), n))
        shifted.take(order, axis=1, out=ordered, mode="clip")
        start = 0
        for group, count in enumerate(np.bincount(groups, minlength=len(self._totals)).tolist()):
            rows = ordered[:, start : start + count]
            self._totals[group] += rows @ rows.T
            start += count


def _near_mean(column: np.ndarray) -> float:
    """Exactly the value of a constant column, whose deviations are then exactly zero."""
    return float(column[0] + (column - column[0]).mean())
