"""How the wines are divided, for assets and ops alike."""

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig


class SplitConfig(CheckedConfig):
    """The division of the wines into training and test rows."""

    test_fraction: float = Field(
        default=0.25, gt=0, lt=1, description="Share of the wines in the test part."
    )
    seed: int = Field(
        default=40, ge=0, le=2**32 - 1, description="Seed of the shuffle before the split."
    )
    max_shared_fraction: float = Field(
        default=0.5,
        ge=0,
        le=1,
        description="The check few_shared_wines warns when a larger share of the test wines is "
        "also in the training part, with the same values.",
    )
