"""Lasso: linear regression with an L1 penalty, which drops columns."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.linear import STANDARDIZE, fit_from_sums, standardized
from wine_quality.families.plots import draw_coefficients
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of the lasso."""

    alpha: float = Field(
        default=0.1, gt=0, le=1e6, allow_inf_nan=False, description="Strength of the penalty."
    )
    standardize: bool = Field(default=True, description=STANDARDIZE)


def build(_task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from sklearn.linear_model import Lasso

    return standardized(Lasso(alpha=given.alpha, max_iter=10_000), given.standardize)


def from_sums(given: Any, moments: Moments) -> Any:
    """The same, fitted on all rows of which the moments are."""
    from wine_quality.models.elastic_net.fit_moments import descend

    return fit_from_sums(build(Task.regression, given), moments, descend)


FAMILY = Family(
    name="lasso",
    title="lasso",
    tasks=frozenset({Task.regression}),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"alpha": (0.001, 0.01, 0.1, 1.0)},
    draw=draw_coefficients,
    from_sums=from_sums,
)
