"""Logistic regression: a linear classifier, with an L2 penalty."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.linear import STANDARDIZE, standardized
from wine_quality.families.plots import draw_coefficients
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of logistic regression."""

    C: float = Field(
        default=1.0, gt=0, le=1e9, allow_inf_nan=False, description="Inverse of the penalty."
    )
    max_iter: int = Field(default=1000, ge=1, le=1_000_000, description="Steps of the solver.")
    standardize: bool = Field(default=True, description=STANDARDIZE)


def build(_task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from sklearn.linear_model import LogisticRegression

    return standardized(LogisticRegression(C=given.C, max_iter=given.max_iter), given.standardize)


FAMILY = Family(
    name="logistic_regression",
    title="logistic regression",
    tasks=frozenset({Task.classification}),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"C": (0.01, 0.1, 1.0, 10.0)},
    draw=draw_coefficients,
)
