"""Moments of the test part and of the folds of the training part."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from wine_quality.engines.membership import TEST, Membership
from wine_quality.engines.row_table import WINES
from wine_quality.models.elastic_net.moments import Moments


@dataclass(frozen=True, eq=False)
class SplitSums:
    """The result of a pass over some rows: a few hundred numbers, that add up.

    Attributes:
        membership: How the rows were divided; only what was divided alike adds up.
        test: Of the test part.
        folds: Of each fold of the training part.
    """

    membership: Membership
    test: Moments
    folds: tuple[Moments, ...]

    @classmethod
    def of(
        cls,
        moments: Mapping[int, Moments],
        membership: Membership,
        names: tuple[str, ...] = WINES.names,
    ) -> SplitSums:
        """From what ``BlockSums`` made."""
        nothing = Moments.none(names)
        folds = tuple(moments.get(fold, nothing) for fold in range(membership.folds))
        return cls(membership, moments.get(TEST, nothing), folds)

    @classmethod
    def none(cls, membership: Membership, names: tuple[str, ...] = WINES.names) -> SplitSums:
        """The sums over no rows."""
        return cls.of({}, membership, names)

    @property
    def train(self) -> Moments:
        """The moments of the training part: the sum over all folds."""
        return Moments.total(self.folds)

    def __add__(self, other: SplitSums) -> SplitSums:
        """The sums over the rows of both.

        Raises:
            ValueError: they were divided differently.
        """
        self._check_membership(other)
        folds = zip(self.folds, other.folds, strict=True)
        return SplitSums(self.membership, self.test + other.test, tuple(a + b for a, b in folds))

    def __sub__(self, other: SplitSums) -> SplitSums:
        """The sums without the rows of a file that was added before.

        Raises:
            ValueError: it was never added, or was divided differently.
        """
        self._check_membership(other)
        folds = zip(self.folds, other.folds, strict=True)
        return SplitSums(self.membership, self.test - other.test, tuple(a - b for a, b in folds))

    def _check_membership(self, other: SplitSums) -> None:
        if self.membership != other.membership:
            raise ValueError(
                f"sums of rows divided by {self.membership} and by {other.membership} do not add "
                "up. Sum the files again with the same test fraction, folds and seed."
            )

    def to_plain(self) -> dict[str, Any]:
        """For JSON: half of the columns' number squared for each part."""
        return {
            "membership": asdict(self.membership),
            "test": self.test.to_plain(),
            "folds": [fold.to_plain() for fold in self.folds],
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> SplitSums:
        """The sums that ``to_plain`` wrote.

        Raises:
            ValueError: they are not the sums of a split.
        """
        try:
            membership = Membership(**plain["membership"])
            test, folds = plain["test"], plain["folds"]
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the sums of any parts ({error})") from error
        if len(folds) != membership.folds:
            raise ValueError(f"{len(folds)} folds where there should be {membership.folds}")
        return cls(membership, Moments.from_plain(test), tuple(map(Moments.from_plain, folds)))
