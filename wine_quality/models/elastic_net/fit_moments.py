"""An elastic net from moments: the same coefficients as a fit on all rows.

The objective, in scikit-learn's terms and in glmnet's (Friedman, Hastie & Tibshirani 2010, with
lambda = alpha and glmnet's alpha = l1_ratio, ``standardize = FALSE``):

    1/(2W) Σ wᵢ (yᵢ - b₀ - xᵢb)² + alpha (l1_ratio ‖b‖₁ + (1 - l1_ratio)/2 ‖b‖₂²),   W = Σ wᵢ

depends on the rows only through W, the means and the centred cross-products.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from wine_quality.models.elastic_net.fit import check_hyperparameters
from wine_quality.models.elastic_net.moments import Moments

if TYPE_CHECKING:
    import numpy as np
    from sklearn.linear_model import ElasticNet


def pseudo_rows(moments: Moments) -> np.ndarray:
    """m rows with mean zero whose sums of products, over m, are the moments' over their weight.

    The last column is the target. They hold what the target varies beyond the features too, so that
    scikit-learn's solver takes the very steps on them that it takes on all rows, and stops after
    the same one: its tolerance is relative to the target's sum of squares.

    Returns:
        Shape (m, m), in the columns' units.

    Raises:
        ValueError: moments of no rows.
    """
    import numpy as np

    if not moments.weight:
        raise ValueError("there are no rows to fit: the sums are empty.")
    variation = np.diagonal(moments.cross)
    varies = variation > 8 * moments.noise
    spread = np.where(varies, np.sqrt(np.maximum(variation, 0.0)), 1.0)
    correlations = np.where(np.outer(varies, varies), moments.cross, 0.0) / np.outer(spread, spread)
    root = _root(correlations) * spread * varies
    return root * np.sqrt(len(spread) / moments.weight)


def _root(correlations: np.ndarray) -> np.ndarray:
    """R with R'R = correlations; exact to rounding for singular ones too."""
    import numpy as np

    try:
        return np.linalg.cholesky(correlations).T
    except np.linalg.LinAlgError:
        # More columns than rows, a column that others add up to, a constant one, or a target
        # without error.
        values, vectors = np.linalg.eigh(correlations)
        return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T


def fit_from_moments(
    moments: Moments, alpha: float, l1_ratio: float, random_state: int = 42, **options: Any
) -> ElasticNet:
    """scikit-learn's ElasticNet as its own ``fit`` on a data frame of all rows leaves it.

    Args:
        moments: Features, and the target as the last column.
        alpha: Strength of the penalty.
        l1_ratio: Share of the lasso in it.
        random_state: As in ``fit_elastic_net``.
        options: Further parameters of ElasticNet, such as ``tol``.

    Raises:
        ValueError: see ``check_hyperparameters``; moments of no rows.
    """
    check_hyperparameters(alpha, l1_ratio, random_state)
    from sklearn.linear_model import ElasticNet

    chosen = {"alpha": alpha, "l1_ratio": l1_ratio, "random_state": random_state, **options}
    return descend(ElasticNet(**chosen), moments)


def descend(model: Any, moments: Moments) -> Any:
    """An ElasticNet or Lasso as its own ``fit`` on a data frame of all rows leaves it.

    Args:
        model: Not fitted; it is fitted here.
        moments: Features, and the target as the last column.

    Raises:
        ValueError: moments of no rows.
    """
    import numpy as np

    rows = pseudo_rows(moments)
    centred = type(model)(**{**model.get_params(), "fit_intercept": False})
    centred.fit(np.asfortranarray(rows[:, :-1]), rows[:, -1])
    model.n_iter_, model.dual_gap_ = centred.n_iter_, centred.dual_gap_
    return with_coefficients(model, centred.coef_, moments)


def with_coefficients(model: Any, coefficients: np.ndarray, moments: Moments) -> Any:
    """A linear model with these coefficients, (k,), its intercept and the names of its features."""
    import numpy as np

    model.coef_ = coefficients
    model.intercept_ = np.float64(moments.mean[-1] - moments.mean[:-1] @ coefficients)
    model.n_features_in_ = len(coefficients)
    model.feature_names_in_ = np.array(moments.columns[:-1], dtype=object)
    return model
