"""Parts that the linear families share: a scaler before the estimator, and fits from sums."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from wine_quality.models.elastic_net.fit import LinearModel
from wine_quality.models.elastic_net.moments import Moments

STANDARDIZE = "Bring each column to mean 0 and standard deviation 1 first."


def standardized(estimator: Any, standardize: bool) -> Any:
    """The estimator, behind a scaler if that is wanted."""
    if not standardize:
        return estimator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)


def fit_from_sums(estimator: Any, moments: Moments, fit: Callable[[Any, Moments], Any]) -> Any:
    """A result of ``standardized``, as its own ``fit`` on a data frame of all rows leaves it.

    Args:
        estimator: Not fitted; it is fitted here.
        moments: Features, and the target as the last column, in their units.
        fit: Fits the linear model itself from moments, with the names of its features.

    Raises:
        ValueError: moments of no rows.
    """
    if not hasattr(estimator, "steps"):
        return fit(estimator, moments)
    (_, scaler), (_, last) = estimator.steps
    scaled = _fit_scaler(scaler, moments)
    fit(last, scaled)
    del last.feature_names_in_  # the scaler hands on a matrix
    return estimator


def _fit_scaler(scaler: Any, moments: Moments) -> Moments:
    """Fit a StandardScaler; the moments of the rows that it makes."""
    import numpy as np

    names = moments.columns[:-1]
    variation = np.diagonal(moments.cross)[:-1]
    scaler.n_samples_seen_ = np.int64(moments.n)
    scaler.mean_ = moments.mean[:-1].copy()
    scaler.var_ = variation / moments.weight
    # As scikit-learn has it: a constant column is only centred.
    varies = variation > 8 * moments.noise[:-1]
    scaler.scale_ = np.where(varies, np.sqrt(np.maximum(scaler.var_, 0.0)), 1.0)
    scaler.n_features_in_ = len(names)
    scaler.feature_names_in_ = np.array(names, dtype=object)
    by = np.append(scaler.scale_, 1.0)
    mean = np.append(np.zeros(len(names)), moments.mean[-1])
    cross = moments.cross / np.outer(by, by)
    noise = moments.noise / by**2
    return Moments(moments.columns, moments.n, moments.weight, mean, cross, noise)


def linear_form(estimator: Any, names: Sequence[str]) -> LinearModel | None:
    """Coefficients in the columns' own units of a linear model, behind a scaler or not; None of
    another model, and of a classifier."""
    import numpy as np

    scaler, last = None, estimator
    if hasattr(estimator, "steps"):
        if len(estimator.steps) != 2 or not hasattr(estimator.steps[0][1], "scale_"):
            return None
        (_, scaler), (_, last) = estimator.steps
    coefficients = getattr(last, "coef_", None)
    if coefficients is None or np.ndim(coefficients) != 1 or hasattr(last, "classes_"):
        return None
    intercept = float(last.intercept_)
    if scaler is not None:
        if scaler.scale_ is None or scaler.mean_ is None:
            return None
        coefficients = coefficients / scaler.scale_
        intercept -= float(coefficients @ scaler.mean_)
    return LinearModel(tuple(names), tuple(map(float, coefficients)), intercept)
