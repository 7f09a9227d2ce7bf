"""Counts, means and centred cross-products: all that an elastic net needs of its rows.

Moments of disjoint rows add up (Chan, Golub & LeVeque 1983: the pairwise update), so any amount of
data is summed in parts of any size. Nothing here is a raw sum of squares: those cancel (density
varies in its fourth digit).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

_EPSILON = 2.0**-52


@dataclass(frozen=True, eq=False)
class Moments:
    """Moments of n rows of m columns, in double precision.

    Attributes:
        columns: Their m names; the target is the last.
        n: Rows.
        weight: Sum of the rows' weights (n without weights).
        mean: Weighted means, of shape (m,), in the columns' units.
        cross: Weighted sums of the products of deviations from the means, of shape (m, m).
        noise: Bound of the rounding error in the diagonal of ``cross``, of shape (m,); what is not
            above it cannot be distinguished from a constant column.
    """

    columns: tuple[str, ...]
    n: int
    weight: float
    mean: np.ndarray
    cross: np.ndarray
    noise: np.ndarray

    @classmethod
    def none(cls, columns: Sequence[str]) -> Moments:
        """Moments of no rows, to begin a sum with."""
        import numpy as np

        m = len(columns)
        return cls(tuple(columns), 0, 0.0, np.zeros(m), np.zeros((m, m)), np.zeros(m))

    @classmethod
    def of_rows(
        cls, columns: Sequence[str], rows: np.ndarray, weights: np.ndarray | None = None
    ) -> Moments:
        """Moments of a matrix of shape (n, m) in memory, in two passes.

        Raises:
            ValueError: the shapes do not fit, a value is not finite, a weight is negative.
        """
        import numpy as np

        rows = np.asarray(rows, dtype=float)
        if rows.ndim != 2 or rows.shape[1] != len(columns):
            raise ValueError(f"rows of shape {rows.shape} do not fit {len(columns)} columns")
        weighting = np.ones(len(rows)) if weights is None else np.asarray(weights, dtype=float)
        if weighting.shape != (len(rows),) or not (weighting >= 0).all():
            raise ValueError("there must be one weight for each row, none of them negative")
        weight = float(weighting.sum())
        if not weight:
            return cls.none(columns)
        shift = rows[np.argmax(weighting > 0)]
        deviations = rows - shift
        centre = weighting @ deviations / weight
        deviations -= centre
        cross = (deviations * weighting[:, None]).T @ deviations
        return cls._checked(columns, len(rows), weight, shift + centre, cross)

    @classmethod
    def of_shifted_sums(
        cls,
        columns: Sequence[str],
        n: int,
        shift: np.ndarray,
        sums: np.ndarray,
        products: np.ndarray,
    ) -> Moments:
        """Moments from sums of x - shift and of its products, as an engine makes them in one pass.

        Args:
            columns: Names, the target last.
            n: Rows.
            shift: Constants near the means, of shape (m,). How near decides the accuracy: the
                relative error of a variance grows with the squared distance in standard deviations.
            sums: Of x - shift, of shape (m,).
            products: Of (x - shift) (x - shift)', of shape (m, m).

        Raises:
            ValueError: a sum is not finite.
        """
        import numpy as np

        if not n:
            return cls.none(columns)
        offset = np.asarray(sums, dtype=float) / n
        cross = np.asarray(products, dtype=float) - n * np.outer(offset, offset)
        lost = 4 * _EPSILON * n * offset**2
        return cls._checked(columns, n, float(n), np.asarray(shift) + offset, cross, lost)

    @classmethod
    def _checked(
        cls,
        columns: Sequence[str],
        n: int,
        weight: float,
        mean: np.ndarray,
        cross: np.ndarray,
        lost: np.ndarray | float = 0.0,
    ) -> Moments:
        import numpy as np

        finite = np.isfinite(mean) & np.isfinite(cross).all(axis=0)
        if not finite.all():
            named = [name for name, fine in zip(columns, finite, strict=True) if not fine]
            raise ValueError(f"sums of column(s) {named} are not finite")
        # A deviation is as coarse as the mean it is taken from.
        noise = _EPSILON * np.diagonal(cross) + weight * (_EPSILON * mean) ** 2 + lost
        return cls(tuple(columns), n, weight, mean, (cross + cross.T) / 2, np.abs(noise))

    def __add__(self, other: Moments) -> Moments:
        """Moments of the rows of both."""
        import numpy as np

        self._check_columns(other)
        if not other.weight or not self.weight:
            some = self if self.weight else other
            return Moments(
                self.columns, self.n + other.n, some.weight, some.mean, some.cross, some.noise
            )
        weight = self.weight + other.weight
        between = other.mean - self.mean
        mean = self.mean + between * (other.weight / weight)
        shared = self.weight * (other.weight / weight)
        cross = self.cross + other.cross + shared * np.outer(between, between)
        noise = self.noise + other.noise + _EPSILON * np.diagonal(cross)
        return Moments(self.columns, self.n + other.n, weight, mean, cross, noise)

    def __sub__(self, other: Moments) -> Moments:
        """Moments without the rows of the other, which must be among these.

        What is left is as exact as the whole was: when little is left of much, add up the parts
        that stay instead.

        Raises:
            ValueError: the rows of the other cannot be among these.
        """
        import numpy as np

        self._check_columns(other)
        n, weight = self.n - other.n, self.weight - other.weight
        if not other.weight:
            return Moments(self.columns, n, self.weight, self.mean, self.cross, self.noise)
        if not n:
            return Moments.none(self.columns)
        if n < 0 or weight <= 0:
            raise ValueError(
                f"{other.n} rows of weight {other.weight:g} cannot be taken from {self.n} rows of "
                f"weight {self.weight:g}: they were never added."
            )
        mean = self.mean + (self.mean - other.mean) * (other.weight / weight)
        between = other.mean - mean
        shared = weight * (other.weight / self.weight)
        cross = self.cross - other.cross - shared * np.outer(between, between)
        noise = self.noise + other.noise + 4 * _EPSILON * np.diagonal(self.cross)
        left = np.diagonal(cross)
        if (left < -16 * noise).any():
            named = [
                name for name, bad in zip(self.columns, left < -16 * noise, strict=True) if bad
            ]
            raise ValueError(
                f"column(s) {named} would have a negative variance: the rows to take away were "
                "never added."
            )
        cross[np.diag_indices_from(cross)] = np.maximum(left, 0.0)
        return Moments(self.columns, n, weight, mean, cross, noise)

    def _check_columns(self, other: Moments) -> None:
        if self.columns != other.columns:
            raise ValueError(f"moments of {self.columns} and of {other.columns} do not add up")

    @classmethod
    def total(cls, parts: Iterable[Moments]) -> Moments:
        """Moments of the rows of all parts, added in pairs; there must be at least one.

        Raises:
            ValueError: no parts.
        """
        level = list(parts)
        if not level:
            raise ValueError("there are no moments to add up")
        while len(level) > 1:
            pairs = [a + b for a, b in zip(level[::2], level[1::2], strict=False)]
            level = pairs + level[len(pairs) * 2 :]
        return level[0]

    def to_plain(self) -> dict[str, Any]:
        """The fields for JSON, every digit kept; of ``cross`` the lower triangle by rows."""
        lower = [row[: i + 1] for i, row in enumerate(self.cross.tolist())]
        return {
            "columns": list(self.columns),
            "n": self.n,
            "weight": self.weight,
            "mean": self.mean.tolist(),
            "cross": lower,
            "noise": self.noise.tolist(),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Moments:
        """Restore moments from ``to_plain``.

        Raises:
            ValueError: ``plain`` is not of that form.
        """
        import numpy as np

        try:
            columns = tuple(map(str, plain["columns"]))
            cross = np.zeros((len(columns), len(columns)))
            for i, row in enumerate(plain["cross"]):
                cross[i, : i + 1] = cross[: i + 1, i] = row
            moments = cls(
                columns,
                int(plain["n"]),
                float(plain["weight"]),
                np.array(plain["mean"], dtype=float),
                cross,
                np.array(plain["noise"], dtype=float),
            )
        except (KeyError, TypeError, ValueError, IndexError) as error:
            raise ValueError(f"not the sums of any columns ({error})") from error
        if not moments.mean.shape == moments.noise.shape == (len(columns),):
            raise ValueError("not the sums of any columns: their numbers differ")
        return moments

    def to_json(self) -> str:
        return json.dumps(self.to_plain())

    @classmethod
    def from_json(cls, text: str) -> Moments:
        return cls.from_plain(json.loads(text))
