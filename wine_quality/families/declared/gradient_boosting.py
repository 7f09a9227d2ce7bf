"""Gradient boosting on histograms: trees, each fitted to the errors of the ones before."""

from typing import Any

from pydantic import Field

from wine_quality.families.boosting import BOOSTING_GRID, BoostedTrees
from wine_quality.families.family import Family
from wine_quality.families.plots import draw_permutation
from wine_quality.tables.dataset import Task


class Hyperparameters(BoostedTrees):
    """Of gradient boosting."""

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
    grid=BOOSTING_GRID,
    trusted_types=("sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",),
    draw=draw_permutation,
)
