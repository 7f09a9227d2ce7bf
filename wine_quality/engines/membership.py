"""Which part and fold a wine is in, by its own values.

The same wine is in the same part on every engine, in any file and at any place in it, so nothing is
shuffled, and no wine of the test part has a twin in the training part. A wine's identity is the
whole numbers nearest to ``SCALES`` times its values (of two equally near the even one). They are a
digit finer than what is measured, so that a file in single precision does not move a wine.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

# In the contract's order: sulfur dioxide in thousandths, density in millionths.
SCALES = (1e4, 1e4, 1e4, 1e4, 1e4, 1e3, 1e3, 1e6, 1e4, 1e4, 1e4, 1e4)
# One for each column of the contract, in its order. Odd numbers below 2**28, so that with the
# contract's ranges the sum of their products stays below 2**53: doubles then add them up exactly,
# in any order. To change one is to change which wines are in the test part.
MULTIPLIERS = (
    *(167_295_577, 219_308_683, 140_052_379, 251_675_021, 188_406_919, 153_778_267),
    *(240_116_341, 201_955_733, 177_241_049, 262_350_857, 229_870_511, 145_693_903),
)
BUCKETS = 1 << 16
TEST = 255
MAX_FOLDS = 250


@dataclass(frozen=True)
class Membership:
    """The rule that puts each wine into the training or the test rows.

    Attributes:
        test_fraction: Share of the test part, to the nearest 65,536th.
        folds: Number of folds of the training part; 1 for none.
        seed: Another seed is another division, 0 to 2⁶⁴ - 1.
    """

    test_fraction: float = 0.25
    folds: int = 5
    seed: int = 40

    def __post_init__(self) -> None:
        if not 0 <= self.test_fraction < 1:
            raise ValueError(f"test_fraction is {self.test_fraction}; it must be 0 to below 1")
        if not 1 <= self.folds <= MAX_FOLDS:
            raise ValueError(f"folds is {self.folds}; it must be 1 to {MAX_FOLDS}")
        if not 0 <= self.seed < 1 << 64:
            raise ValueError(f"seed is {self.seed}; it must be 0 to 2⁶⁴ - 1")

    @property
    def test_buckets(self) -> int:
        """The first of the 65,536 buckets are the test part's."""
        return min(round(self.test_fraction * BUCKETS), BUCKETS - self.folds)

    def groups(self) -> np.ndarray:
        """Of each bucket its fold, or ``TEST``; shape (65536,), uint8."""
        import numpy as np

        first = self.test_buckets
        folds = np.arange(BUCKETS - first) * self.folds // (BUCKETS - first)
        return np.concatenate([np.full(first, TEST), folds]).astype(np.uint8)


def buckets(identities: np.ndarray, seed: int) -> np.ndarray:
    """0 to 65,535 for each wine, int64.

    Args:
        identities: ``MULTIPLIERS`` times the whole numbers of a wine: whole numbers below 2**53 as
            doubles, of shape (n,).
        seed: See ``Membership``.
    """
    import numpy as np

    return mixed_buckets(identities.astype(np.uint64), seed)


def mixed_buckets(identities: np.ndarray, seed: int) -> np.ndarray:
    """0 to 65,535 for each row, int64.

    Args:
        identities: Of rows, uint64 of shape (n,), which are overwritten.
        seed: See ``Membership``.
    """
    import numpy as np

    # The finalizer of MurmurHash3 (Appleby): every bit of its result depends on each bit it reads.
    mixed = identities
    mixed += np.uint64(seed * 0x9E3779B97F4A7C15 % (1 << 64))
    for multiplier in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        mixed ^= mixed >> np.uint64(33)
        mixed *= np.uint64(multiplier)
    # Its last step changes none of the bits that are used here.
    return (mixed >> np.uint64(48)).view(np.int64)


def groups_of(wines: np.ndarray, membership: Membership) -> np.ndarray:
    """Fold or ``TEST`` of wines in memory, in the contract's order, of shape (n, 12)."""
    import numpy as np

    numbers = np.rint(np.asarray(wines, dtype=float) * SCALES)
    identities = numbers @ np.array(MULTIPLIERS, dtype=float)
    return membership.groups()[buckets(identities, membership.seed)]
