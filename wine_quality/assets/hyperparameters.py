"""The ``hyperparameters`` resource."""

from dagster import ConfigurableResource, InitResourceContext
from pydantic import Field


class Hyperparameters(ConfigurableResource):
    """What the elastic net is fitted with."""

    alpha: float = Field(default=0.5, description="Strength of the penalty, at least 0.")
    l1_ratio: float = Field(
        default=0.5, description="Share of L1 in the penalty, 0 to 1: 0 is ridge, 1 is lasso."
    )
    random_state: int = Field(
        default=42, description="Seed of scikit-learn's solver, 0 to 4294967295."
    )

    def setup_for_execution(self, context: InitResourceContext) -> None:
        """Refuse bad values before anything is read or trained.

        Raises:
            ValueError: names the field, its value and what it may be.
        """
        from wine_quality.training.fit import check_hyperparameters

        check_hyperparameters(self.alpha, self.l1_ratio, self.random_state)
