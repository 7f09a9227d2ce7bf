"""LightGBM: gradient boosting by a package of its own, which each environment must be given."""

from typing import Any

from pydantic import Field

from wine_quality.families.boosting import BOOSTING_GRID, BoostedTrees
from wine_quality.families.family import Family, FamilyMissingError
from wine_quality.families.plots import draw_importances
from wine_quality.tables.dataset import Task


class Hyperparameters(BoostedTrees):
    """Of LightGBM."""

    random_state: int = Field(default=42, ge=0, lt=2**31, description="Seed.")


def build(task: Task, given: Any) -> Any:
    """LightGBM's own, with scikit-learn's interface.

    Raises:
        FamilyMissingError: the package is not installed here.
    """
    try:
        import lightgbm
    except ImportError as error:
        raise FamilyMissingError(
            "LightGBM is not installed in this environment. Write lightgbm==4.6.0 into a file "
            "requirements.txt, and add it to the environments of the versions that you use: "
            "python -m wine_quality.environments build 3 --with requirements.txt"
        ) from error
    kind = lightgbm.LGBMRegressor if task is Task.regression else lightgbm.LGBMClassifier
    return kind(
        n_estimators=given.iterations,
        learning_rate=given.learning_rate,
        num_leaves=given.max_leaves,
        min_child_samples=given.min_leaf,
        random_state=given.random_state,
        verbose=-1,
    )


FAMILY = Family(
    name="lightgbm",
    title="LightGBM",
    tasks=frozenset(Task),
    hyperparameters=Hyperparameters,
    build=build,
    grid=BOOSTING_GRID,
    trusted_types=(
        "collections.OrderedDict",
        "lightgbm.basic.Booster",
        "lightgbm.sklearn.LGBMClassifier",
        "lightgbm.sklearn.LGBMRegressor",
    ),
    requirements=("lightgbm",),
    draw=draw_importances,
)
