"""Parts that the linear families share: a scaler before the estimator."""

from __future__ import annotations

from typing import Any

STANDARDIZE = "Bring each column to mean 0 and standard deviation 1 first."


def standardized(estimator: Any, standardize: bool) -> Any:
    """The estimator, behind a scaler if that is wanted."""
    if not standardize:
        return estimator
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    return make_pipeline(StandardScaler(), estimator)
