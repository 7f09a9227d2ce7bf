"""The ``hyperparameters`` resource."""

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedResource


class Hyperparameters(CheckedResource):
    """Hyperparameters of scikit-learn's ElasticNet."""

    alpha: float = Field(
        default=0.5,
        ge=0,
        allow_inf_nan=False,
        description="Strength of the penalty, at least 0.",
    )
    l1_ratio: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="Share of L1 in the penalty, 0 to 1: 0 is ridge, 1 is lasso.",
    )
    random_state: int = Field(
        default=42,
        ge=0,
        le=2**32 - 1,
        description="Seed of scikit-learn's solver, 0 to 4294967295.",
    )
