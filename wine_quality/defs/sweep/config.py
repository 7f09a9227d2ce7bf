"""Config of the sweep's ops: which wines, which points, and when the best one is offered."""

from typing import Annotated

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.champion.champion_model import PromotionConfig
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.model.elasticnet_model import TrainingConfig
from wine_quality.wines.loading import RawWineCsvConfig


class SweepDataConfig(RawWineCsvConfig, SplitConfig):
    """The wines, and the part of them that is held out."""


class SweepPoint(CheckedConfig):
    """One pair of hyperparameters."""

    alpha: float = Field(
        ge=0, allow_inf_nan=False, description="Strength of the penalty, at least 0."
    )
    l1_ratio: float = Field(ge=0, le=1, description="Share of L1 in the penalty, 0 to 1.")


class SweepConfig(CheckedConfig):
    """The points, and their comparison."""

    alphas: list[Annotated[float, Field(ge=0, allow_inf_nan=False)]] = Field(
        default=[0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 0.5, 1.0],
        description="Strengths of the penalty; each is tried with each l1_ratio.",
    )
    l1_ratios: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        default=[0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0],
        description="Shares of L1 in the penalty, 0 to 1: 0 is ridge, 1 is lasso.",
    )
    points: list[SweepPoint] = Field(
        default=[],
        description="A list of {alpha, l1_ratio}, instead of the grid of alphas and l1_ratios.",
    )
    folds: int = Field(
        default=5, ge=2, le=100, description="Parts of the training rows, each held out once."
    )
    fold_seed: int = Field(
        default=40,
        ge=0,
        le=2**32 - 1,
        description="Seed by which rows go to folds; with duckdb and spark the split's seed does "
        "that.",
    )


class OfferConfig(PromotionConfig, TrainingConfig):
    """Conditions on which the best point becomes the champion."""
