"""The sums of wines by part and fold, a block of rows at a time: what every engine computes.

In SQL each of the 78 products is a pass of its own over the rows, for each group. Here a block that
fits the processor's cache is sorted by group, and BLAS multiplies it with itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.data.contract import COLUMNS
from wine_quality.engines.membership import MULTIPLIERS, SCALES, Membership, buckets
from wine_quality.training.moments import Moments

if TYPE_CHECKING:
    import numpy as np

NAMES = tuple(COLUMNS)
BLOCK = 1 << 14
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
        self._scales = np.array(SCALES)[:, None]
        # The last row, of ones, makes the sums and counts in the products.
        self._shifted = np.ones((m + 1, BLOCK))
        # First the whole numbers that identify the wines, then the wines in the order of groups.
        self._second = np.empty((m + 1, BLOCK))
        self._shift = np.zeros(m)
        self._rows = 0
        self._totals = np.zeros((len(self._kinds), m + 1, m + 1))
        self._moments = {kind: Moments.none(NAMES) for kind in self._kinds}

    def add(self, wines: np.ndarray) -> None:
        """Rows, of shape (12, n) in the contract's order, all finite."""
        for start in range(0, wines.shape[1], BLOCK):
            block = wines[:, start : start + BLOCK]
            if not self._rows:
                self._shift = _near_means(block[:, :_SHIFT_ROWS])
            self._add_block(block)
            self._rows += block.shape[1]
            if self._rows >= _ROWS_PER_SHIFT:
                self._flush()

    def moments(self) -> dict[int, Moments]:
        """Of all rows added so far, by fold (``membership.TEST`` for the test part)."""
        self._flush()
        return dict(self._moments)

    def _flush(self) -> None:
        m = len(NAMES)
        for kind, total in zip(self._kinds, self._totals, strict=True):
            self._moments[kind] += Moments.of_shifted_sums(
                NAMES, round(total[m, m]), self._shift, total[m, :m], total[:m, :m]
            )
        self._totals[:] = 0
        self._rows = 0

    def _add_block(self, wines: np.ndarray) -> None:
        import numpy as np

        m, n = wines.shape
        numbers, shifted = self._second[:m, :n], self._shifted[:, :n]
        np.multiply(wines, self._scales, out=numbers)
        np.rint(numbers, out=numbers)
        groups = self._table.take(buckets(self._multipliers @ numbers, self._seed))
        np.subtract(wines, self._shift[:, None], out=shifted[:m])
        order = groups.argsort(kind="stable")
        ordered = self._second if n == BLOCK else np.empty((m + 1, n))
        shifted.take(order, axis=1, out=ordered, mode="clip")
        start = 0
        for group, count in enumerate(np.bincount(groups, minlength=len(self._totals)).tolist()):
            rows = ordered[:, start : start + count]
            self._totals[group] += rows @ rows.T
            start += count


def _near_means(wines: np.ndarray) -> np.ndarray:
    """Exactly the value of a constant column, whose deviations are then exactly zero."""
    first = wines[:, 0]
    return first + (wines - first[:, None]).mean(axis=1)
