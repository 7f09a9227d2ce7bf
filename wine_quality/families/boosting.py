"""Hyperparameters and grid that the families of boosted trees have in common."""

from pydantic import BaseModel, Field

BOOSTING_GRID = {"learning_rate": (0.05, 0.1), "max_leaves": (7, 31)}


class BoostedTrees(BaseModel):
    """Of trees, each fitted to the errors of the ones before."""

    iterations: int = Field(default=100, ge=1, le=100_000, description="Number of trees.")
    learning_rate: float = Field(
        default=0.1, gt=0, le=10, description="Share of each tree's correction that is taken."
    )
    max_leaves: int = Field(default=31, ge=2, le=10_000, description="Most leaves of a tree.")
    min_leaf: int = Field(default=20, ge=1, le=1_000_000, description="Least rows of a leaf.")
