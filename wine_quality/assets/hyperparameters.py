"""The ``hyperparameters`` resource."""

from dagster import ConfigurableResource
from pydantic import Field


class Hyperparameters(ConfigurableResource):
    """What the elastic net is fitted with."""

    alpha: float = Field(default=0.5, ge=0, description="Strength of the penalty, at least 0.")
    l1_ratio: float = Field(
        default=0.5, ge=0, le=1, description="Share of L1 in the penalty: 0 is ridge, 1 is lasso."
    )
    random_state: int = Field(default=42, ge=0, description="Seed of scikit-learn's solver.")
