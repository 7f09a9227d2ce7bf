"""Ridge regression: linear, with an L2 penalty."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.linear import STANDARDIZE, standardized
from wine_quality.families.plots import draw_coefficients
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


FAMILY = Family(
    name="ridge",
    title="ridge regression",
    tasks=frozenset({Task.regression}),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"alpha": (0.1, 1.0, 10.0, 100.0)},
    draw=draw_coefficients,
)
