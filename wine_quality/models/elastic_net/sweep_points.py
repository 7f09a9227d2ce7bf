"""Cross-validation of many (alpha, l1_ratio) points on one training part."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.models.elastic_net.fit import check_hyperparameters

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

MAX_POINTS = 10_000
# The sweep ranks points that differ little, so it is solved more exactly than scikit-learn's
# default of 1e-4, at which a point's error depends on its neighbours in the path.
TOLERANCE = 1e-8
MAX_ITERATIONS = 100_000


class Point(NamedTuple):
    """Hyperparameters of one elastic net."""

    alpha: float
    l1_ratio: float

    def __str__(self) -> str:
        return f"alpha={self.alpha!r}, l1_ratio={self.l1_ratio!r}"


@dataclass(frozen=True)
class PointScore:
    """Score of one point: RMSE on each fold, trained on the others, in units of quality."""

    point: Point
    fold_rmse: tuple[float, ...]

    @property
    def mean(self) -> float:
        return sum(self.fold_rmse) / len(self.fold_rmse)

    @property
    def std(self) -> float:
        """Standard deviation over the folds (of the folds, not an estimate beyond them)."""
        squares = sum((rmse - self.mean) ** 2 for rmse in self.fold_rmse)
        return (squares / len(self.fold_rmse)) ** 0.5


def grid(alphas: Iterable[float], l1_ratios: Iterable[float]) -> list[Point]:
    """Every alpha with every l1_ratio."""
    ratios = list(l1_ratios)
    return [Point(float(alpha), float(ratio)) for alpha in alphas for ratio in ratios]


def check_points(points: Sequence[Point]) -> list[Point]:
    """The points without repeats, in their order.

    Raises:
        ValueError: there is none, there are more than ``MAX_POINTS``, or one cannot be used.
    """
    distinct = list(dict.fromkeys(points))
    if not 1 <= len(distinct) <= MAX_POINTS:
        raise ValueError(
            f"the sweep has {len(distinct)} points; it must have 1 to {MAX_POINTS}. "
            "Set alphas and l1_ratios, or points."
        )
    for point in distinct:
        check_hyperparameters(point.alpha, point.l1_ratio, place=f"sweep point ({point}): ")
    return distinct


def cross_validate(
    train: pd.DataFrame, points: Sequence[Point], folds: int, seed: int
) -> list[PointScore]:
    """Score each point on shuffled folds, the same for all points.

    scikit-learn's ``ElasticNetCV`` walks the path of alphas of one l1_ratio on the Gram matrix of
    a fold, which makes a point about ten times cheaper than a fit of its own.

    Args:
        train: Rows with the eleven features and quality.
        points: Distinct points (``check_points``).
        folds: Number of folds, at least 2.
        seed: Of the shuffle.

    Returns:
        One score for each point, in their order.

    Raises:
        ValueError: fewer rows than folds.
    """
    if len(train) < folds:
        raise ValueError(
            f"{len(train)} training row(s) cannot be divided into {folds} folds. "
            "Use fewer folds, or more data."
        )
    features = train[list(FEATURES)].to_numpy(dtype=float)
    target = train[TARGET].to_numpy(dtype=float)
    by_ratio: dict[float, list[float]] = {}
    for point in points:
        by_ratio.setdefault(point.l1_ratio, []).append(point.alpha)
    # Those that share their alphas are one grid, and one call.
    grids: dict[tuple[float, ...], list[float]] = {}
    for ratio, paired in by_ratio.items():
        grids.setdefault(tuple(sorted(paired, reverse=True)), []).append(ratio)
    scores: dict[Point, PointScore] = {}
    for alphas, ratios in grids.items():
        rmse = _fold_errors(features, target, alphas, ratios, folds, seed)
        for i, ratio in enumerate(ratios):
            for j, alpha in enumerate(alphas):
                point = Point(alpha, ratio)
                scores[point] = PointScore(point, tuple(float(error) for error in rmse[i, j]))
    return [scores[point] for point in points]


def _fold_errors(
    features: np.ndarray,
    target: np.ndarray,
    alphas: tuple[float, ...],
    ratios: list[float],
    folds: int,
    seed: int,
) -> np.ndarray:
    """RMSE of shape (ratios, alphas, folds); alphas from the largest."""
    import numpy as np
    from sklearn.linear_model import ElasticNetCV
    from sklearn.model_selection import KFold

    model = ElasticNetCV(
        l1_ratio=ratios,
        alphas=np.asarray(alphas),
        cv=KFold(folds, shuffle=True, random_state=seed),
        tol=TOLERANCE,
        max_iter=MAX_ITERATIONS,
    )
    with warnings.catch_warnings():
        # alpha or l1_ratio 0 converge slowly; their errors are then upper bounds of the point's.
        warnings.simplefilter("ignore")
        model.fit(features, target)
    # scikit-learn drops axes of length one.
    return np.sqrt(model.mse_path_.reshape(len(ratios), len(alphas), folds))


def best_of(scores: Iterable[PointScore]) -> PointScore:
    """The least mean error; of equals the one with the stronger penalty."""
    return min(scores, key=lambda score: (score.mean, -score.point.alpha, -score.point.l1_ratio))
