"""Cross-validation of many (alpha, l1_ratio) points from the moments of the folds alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from wine_quality.models.elastic_net.fit_moments import pseudo_rows
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.models.elastic_net.sweep_points import (
    MAX_ITERATIONS,
    TOLERANCE,
    Point,
    PointScore,
)

if TYPE_CHECKING:
    import numpy as np


def others(folds: Sequence[Moments]) -> list[Moments]:
    """For each fold the moments of all others.

    They are added up, not subtracted from the whole: it costs nothing, and loses no digits.
    """
    return [Moments.total([*folds[:i], *folds[i + 1 :]]) for i in range(len(folds))]


def cross_validate_moments(folds: Sequence[Moments], points: Sequence[Point]) -> list[PointScore]:
    """Score each point as ``sweep.cross_validate`` does, without a row.

    Args:
        folds: Moments of disjoint rows, at least two; the target is the last column.
        points: Distinct points (``check_points``).

    Returns:
        One score for each point, in their order.

    Raises:
        ValueError: fewer than two folds, or one without rows.
    """
    if len(folds) < 2 or not all(fold.weight for fold in folds):
        counts = [fold.n for fold in folds]
        raise ValueError(
            f"cross-validation needs two folds or more with rows in each; these hold {counts}. "
            "Use fewer folds, or more data."
        )
    by_ratio: dict[float, list[float]] = {}
    for point in points:
        by_ratio.setdefault(point.l1_ratio, []).append(point.alpha)
    errors: dict[Point, list[float]] = {point: [] for point in points}
    for fold, rest in zip(folds, others(folds), strict=True):
        rows = pseudo_rows(rest)
        for ratio, paired in by_ratio.items():
            alphas = sorted(paired, reverse=True)
            rmse = rmse_on(fold, rest, _path(rows, alphas, ratio))
            for alpha, error in zip(alphas, rmse, strict=True):
                errors[Point(alpha, ratio)].append(float(error))
    return [PointScore(point, tuple(errors[point])) for point in points]


def _path(rows: np.ndarray, alphas: list[float], l1_ratio: float) -> np.ndarray:
    """Coefficients of shape (features, alphas), each begun at its neighbour's."""
    import warnings

    import numpy as np
    from sklearn.linear_model import enet_path

    features = np.asfortranarray(rows[:, :-1])
    target = np.ascontiguousarray(rows[:, -1])
    with warnings.catch_warnings():
        # alpha or l1_ratio 0 converge slowly, here as in ``sweep.cross_validate``.
        warnings.simplefilter("ignore")
        _, coefficients, _ = enet_path(
            features,
            target,
            l1_ratio=l1_ratio,
            alphas=np.array(alphas),
            precompute=features.T @ features,
            Xy=features.T @ target,
            tol=TOLERANCE,
            max_iter=MAX_ITERATIONS,
        )
    return coefficients


def rmse_on(part: Moments, train: Moments, coefficients: np.ndarray) -> np.ndarray:
    """RMSE on the rows of ``part`` of models trained on ``train``, in units of the target.

    The residuals' sum of squares is a sum of squares here too (over the pseudo-rows), so it cannot
    cancel into a negative one; intercepts enter as differences of means, so offsets do no harm.
    The relative error is about 1e-16 divided by the share of the target's variance that the model
    leaves: an RMSE below 1e-8 of the target's standard deviation is not resolved.

    Args:
        part: Moments of the rows to predict.
        train: Moments of the training rows; each model has its best intercept for them.
        coefficients: Shape (features, models).

    Returns:
        Shape (models,).
    """
    import numpy as np

    rows = pseudo_rows(part)
    within = rows[:, -1:] - rows[:, :-1] @ coefficients
    between = part.mean - train.mean
    bias = between[-1] - between[:-1] @ coefficients
    return np.sqrt(np.square(within).mean(axis=0) + bias**2)
