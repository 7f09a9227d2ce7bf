"""The metric by which versions of a model are compared, and which way is up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Metric:
    """A metric that decides between versions of a model.

    Attributes:
        name: As it is logged, such as ``auc``.
        higher_is_better: False for errors and losses.
        min_improvement: By how much a version must be better than the champion to take its place,
            in units of the metric.
    """

    name: str
    higher_is_better: bool
    min_improvement: float = 0.0

    def __post_init__(self) -> None:
        if not self.name:
            raise ValueError("the metric needs a name, such as auc")
        if self.min_improvement < 0:
            raise ValueError(f"min_improvement is {self.min_improvement}; it must be at least 0")

    def winner(self, values: Mapping[str, float], champion: str | None) -> str | None:
        """The best version, if it is better than the champion by enough.

        Args:
            values: Of this metric, by version number.
            champion: The champion's version; None when there is none.

        Returns:
            None when the champion stays. Of two that are as good, the older wins.
        """
        sign = -1.0 if self.higher_is_better else 1.0
        challengers = [version for version in values if version != champion]
        if not challengers:
            return None
        best = min(challengers, key=lambda version: (sign * values[version], int(version)))
        if champion is None or champion not in values:
            return best
        improvement = sign * (values[champion] - values[best])
        return best if improvement > self.min_improvement else None
