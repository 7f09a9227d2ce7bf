"""Elastic net: linear regression whose penalty is a mixture of L1 and L2."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.linear import STANDARDIZE, fit_from_sums, standardized
from wine_quality.families.plots import draw_coefficients
from wine_quality.models.elastic_net.moments import Moments
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of the elastic net."""

    alpha: float = Field(
        default=0.5, ge=0, le=1e6, allow_inf_nan=False, description="Strength of the penalty."
    )
    l1_ratio: float = Field(
        default=0.5, ge=0, le=1, description="Share of the L1 penalty: 0 is ridge, 1 lasso."
    )
    random_state: int = Field(default=42, ge=0, lt=2**32, description="Seed of the solver.")
    standardize: bool = Field(default=False, description=STANDARDIZE)


def build(_task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from wine_quality.models.elastic_net.fit import new_elastic_net

    net = new_elastic_net(given.alpha, given.l1_ratio, given.random_state)
    return standardized(net, given.standardize)


def from_sums(given: Any, moments: Moments) -> Any:
    """The same, fitted on all rows of which the moments are."""
    from wine_quality.models.elastic_net.fit_moments import descend

    return fit_from_sums(build(Task.regression, given), moments, descend)


FAMILY = Family(
    name="elastic_net",
    title="elastic net",
    tasks=frozenset({Task.regression}),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"alpha": (0.01, 0.1, 0.5), "l1_ratio": (0.1, 0.5, 0.9)},
    draw=draw_coefficients,
    from_sums=from_sums,
)
