"""Ridge regression: linear, with an L2 penalty."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.linear import STANDARDIZE, fit_from_sums, standardized
from wine_quality.families.plots import draw_coefficients
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of ridge regression."""

    alpha: float = Field(
        default=1.0, ge=0, le=1e9, allow_inf_nan=False, description="Strength of the penalty."
    )
    standardize: bool = Field(default=True, description=STANDARDIZE)


def build(_task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from sklearn.linear_model import Ridge

    return standardized(Ridge(alpha=given.alpha), given.standardize)


def from_sums(given: Any, moments: Moments) -> Any:
    """The same, fitted on all rows of which the moments are."""
    return fit_from_sums(build(Task.regression, given), moments, _solve)


def _solve(model: Any, moments: Moments) -> Any:
    import numpy as np

    from wine_quality.models.elastic_net.fit_moments import pseudo_rows, with_coefficients

    # Ridge's penalty is held against the sum of squares, not their mean.
    rows = pseudo_rows(moments) * np.sqrt(moments.weight / len(moments.columns))
    centred = type(model)(**{**model.get_params(), "fit_intercept": False})
    centred.fit(rows[:, :-1], rows[:, -1])
    model.n_iter_, model.solver_ = None, getattr(centred, "solver_", "auto")
    return with_coefficients(model, centred.coef_, moments)


FAMILY = Family(
    name="ridge",
    title="ridge regression",
    tasks=frozenset({Task.regression}),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"alpha": (0.1, 1.0, 10.0, 100.0)},
    draw=draw_coefficients,
    from_sums=from_sums,
)
