"""The asset check ``drift_against_champion``: training data against that of the champion."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, MetadataValue
from pydantic import Field

from wine_quality.tracking.registry.champion import CHAMPION

if TYPE_CHECKING:
    import pandas as pd

    from wine_quality.tracking.tracker import Tracker

DRIFT = "drift_against_champion"
THRESHOLD = 0.25


def drift_field(default: float = THRESHOLD) -> float:
    """The field of run config ``drift_threshold``."""
    field: float = Field(
        default=default,
        gt=0,
        description="Population stability index above which a column has drifted.",
    )
    return field


def drift_check(asset: str) -> AssetCheckSpec:
    """The check's declaration."""
    return AssetCheckSpec(
        DRIFT,
        asset=asset,
        description="Population stability index of each column against the champion's training "
        "data.",
    )


def check_drift(
    tracker: Tracker, name: str, train: pd.DataFrame, threshold: float, warn: Callable[[str], None]
) -> AssetCheckResult:
    """The difference of training data from the champion's, by the latter's training record.

    Args:
        name: Of the registered model.
        threshold: Population stability index above which a column has drifted.
    """
    from wine_quality.models.compare import population_stability
    from wine_quality.tracking.registry.provenance import UntrustedModelError

    registry = tracker.registry(name)
    champion = registry.holder(CHAMPION)
    version = registry.version(champion) if champion else None
    try:
        record = tracker.load_training_record(version) if version else None
    except UntrustedModelError as error:
        warn(f"The training data is not compared with the champion's: {error}")
        record = None
    stability = population_stability(train, record["profile"]) if record else None
    return drift_against_champion(stability, champion, threshold)


def drift_against_champion(
    stability: Mapping[str, float] | None, champion: str | None, threshold: float
) -> AssetCheckResult:
    """``stability`` is None when there is no champion, or nothing is known of its data."""
    if not stability:
        text = (
            f"Nothing is known of the data of champion version {champion}."
            if champion
            else "There is no champion yet."
        )
        return AssetCheckResult(check_name=DRIFT, passed=True, description=text)
    drifted = {name: value for name, value in stability.items() if value > threshold}
    worst = max(stability, key=lambda name: stability[name])
    text = (
        f"{len(drifted)} column(s) above {threshold:g}: {', '.join(drifted)}."
        if drifted
        else f"All columns are within {threshold:g}."
    )
    return AssetCheckResult(
        check_name=DRIFT,
        passed=not drifted,
        severity=AssetCheckSeverity.WARN,
        description=f"{text} The most drifted is {worst} with {stability[worst]:.3f}, against "
        f"champion version {champion}.",
        metadata={name: MetadataValue.float(value) for name, value in stability.items()},
    )
