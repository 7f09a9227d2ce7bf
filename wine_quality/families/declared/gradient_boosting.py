"""Gradient boosting on histograms: trees, each fitted to the errors of the ones before."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.plots import draw_permutation
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of gradient boosting."""

    iterations: int = Field(default=100, ge=1, le=100_000, description="Number of trees.")
    learning_rate: float = Field(
        default=0.1, gt=0, le=10, description="Share of each tree's correction that is taken."
    )
    max_leaves: int = Field(default=31, ge=2, le=10_000, description="Most leaves of a tree.")
    min_leaf: int = Field(default=20, ge=1, le=1_000_000, description="Least rows of a leaf.")
    random_state: int = Field(default=42, ge=0, lt=2**32, description="Seed.")


def build(task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    kinds = {
        Task.regression: HistGradientBoostingRegressor,
        Task.classification: HistGradientBoostingClassifier,
    }
    return kinds[task](
        max_iter=given.iterations,
        learning_rate=given.learning_rate,
        max_leaf_nodes=given.max_leaves,
        min_samples_leaf=given.min_leaf,
        random_state=given.random_state,
    )


FAMILY = Family(
    name="gradient_boosting",
    title="gradient boosting",
    tasks=frozenset(Task),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"learning_rate": (0.05, 0.1), "max_leaves": (7, 31)},
    trusted_types=("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",),
    draw=draw_permutation,
)
