"""Errors of a linear model on rows of which only the moments are known."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.models.elastic_net.fit_moments import pseudo_rows
from wine_quality.models.elastic_net.moments import Moments

if TYPE_CHECKING:
    from wine_quality.models.elastic_net.fit import LinearModel


def errors_from_moments(part: Moments, model: LinearModel) -> dict[str, float]:
    """RMSE in units of the target, and R², as on the rows themselves.

    Args:
        part: Moments of the rows; the model's features in its order, then the target.

    Raises:
        ValueError: there are no rows.
    """
    import numpy as np

    coefficients = np.asarray(model.coefficients)
    rows = pseudo_rows(part)
    within = rows[:, -1] - rows[:, :-1] @ coefficients
    bias = part.mean[-1] - part.mean[:-1] @ coefficients - model.intercept
    square = float(np.square(within).mean() + bias**2)
    varied = float(part.cross[-1, -1]) / part.weight
    return {"rmse": square**0.5, "r2": 1 - square / varied if varied else float("nan")}


def error_of_mean(part: Moments, train: Moments) -> float:
    """RMSE on the rows of ``part`` of always predicting the target's mean in ``train``."""
    bias = float(part.mean[-1] - train.mean[-1])
    return (float(part.cross[-1, -1]) / part.weight + bias**2) ** 0.5
