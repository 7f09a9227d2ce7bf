"""Random forest: the mean of many trees, each grown on a sample of the rows."""

from typing import Any

from pydantic import BaseModel, Field

from wine_quality.families.family import Family
from wine_quality.families.plots import draw_importances
from wine_quality.tables.dataset import Task


class Hyperparameters(BaseModel):
    """Of the forest."""

    trees: int = Field(default=100, ge=1, le=10_000, description="Number of trees.")
    max_depth: int = Field(default=0, ge=0, le=1000, description="Depth of a tree; 0: no limit.")
    min_leaf: int = Field(default=1, ge=1, le=1_000_000, description="Least rows of a leaf.")
    random_state: int = Field(default=42, ge=0, lt=2**32, description="Seed.")


def build(task: Task, given: Any) -> Any:
    """scikit-learn's."""
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    kind = RandomForestRegressor if task is Task.regression else RandomForestClassifier
    return kind(
        given.trees,
        max_depth=given.max_depth or None,
        min_samples_leaf=given.min_leaf,
        random_state=given.random_state,
    )


FAMILY = Family(
    name="random_forest",
    title="random forest",
    tasks=frozenset(Task),
    hyperparameters=Hyperparameters,
    build=build,
    grid={"max_depth": (4, 8, 0), "min_leaf": (1, 5)},
    trusted_types=("sklearn.tree._tree.Tree",),
    draw=draw_importances,
)
