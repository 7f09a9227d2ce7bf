"""Asset checks: what is checked, and the sentence each says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec, MetadataValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    import numpy as np
    import pandas as pd

PARTS_APART = AssetCheckSpec(
    "parts_are_apart",
    asset="train_test_split",
    blocking=True,
    description="No row is in both parts, and their sizes are as configured.",
)
SHARED_WINES = AssetCheckSpec(
    "few_shared_wines",
    asset="train_test_split",
    description="Few of the held-out wines stand in the training part too, value for value.",
)
DRIFT = AssetCheckSpec(
    "drift_against_champion",
    asset="elasticnet_model",
    description="Population stability index of each column against the champion's training data.",
)
IN_SCALE = AssetCheckSpec(
    "predictions_in_scale",
    asset="evaluation_metrics",
    blocking=True,
    description="Every prediction is finite and within the scale of quality, 0 to 10.",
)
BEATS_MEAN = AssetCheckSpec(
    "beats_predicting_the_mean",
    asset="evaluation_metrics",
    blocking=True,
    description="The held-out error is less than that of always predicting the training mean.",
)


def parts_are_apart(split: pd.DataFrame, test_fraction: float) -> AssetCheckResult:
    train, test = (split.index[split["part"] == part] for part in ("train", "test"))
    both = len(train.intersection(test))
    share = len(test) / len(split)
    # scikit-learn rounds up to whole rows.
    passed = both == 0 and abs(share - test_fraction) <= 1 / len(split)
    return AssetCheckResult(
        check_name=PARTS_APART.name,
        passed=passed,
        description=f"{both} row(s) in both parts; {share:.4f} of the rows are held out.",
    )


def few_shared_wines(shared: int, test_rows: int, allowed: float) -> AssetCheckResult:
    share = shared / test_rows
    return AssetCheckResult(
        check_name=SHARED_WINES.name,
        passed=share <= allowed,
        severity=AssetCheckSeverity.WARN,
        description=f"{shared} of {test_rows} held-out wines ({share:.1%}) have a twin in the "
        f"training part; {allowed:.0%} are allowed.",
    )


def drift_against_champion(
    stability: Mapping[str, float] | None, champion: str | None, threshold: float
) -> AssetCheckResult:
    """``stability`` is None when there is no champion, or nothing is known of its data."""
    if stability is None:
        said = (
            f"Nothing is known of the data of champion version {champion}."
            if champion
            else "There is no champion yet."
        )
        return AssetCheckResult(check_name=DRIFT.name, passed=True, description=said)
    drifted = {name: value for name, value in stability.items() if value > threshold}
    worst = max(stability, key=lambda name: stability[name])
    said = (
        f"{len(drifted)} column(s) above {threshold:g}: {', '.join(drifted)}."
        if drifted
        else f"All columns are within {threshold:g}."
    )
    return AssetCheckResult(
        check_name=DRIFT.name,
        passed=not drifted,
        severity=AssetCheckSeverity.WARN,
        description=f"{said} The most drifted is {worst} with {stability[worst]:.3f}, against "
        f"champion version {champion}.",
        metadata={name: MetadataValue.float(value) for name, value in stability.items()},
    )


def predictions_in_scale(predicted: np.ndarray, lowest: float, highest: float) -> AssetCheckResult:
    import numpy as np

    finite = np.isfinite(predicted)
    within = finite & (predicted >= lowest) & (predicted <= highest)
    outside = int((~within).sum())
    said: dict[str, Any] = {}
    if finite.any():
        said = {"lowest": float(predicted[finite].min()), "highest": float(predicted[finite].max())}
    return AssetCheckResult(
        check_name=IN_SCALE.name,
        passed=outside == 0,
        description=f"{outside} of {len(predicted)} predictions are not finite or not within "
        f"{lowest:g} to {highest:g}.",
        metadata=said,
    )


def beats_predicting_the_mean(rmse: float, baseline: float) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=BEATS_MEAN.name,
        passed=rmse < baseline,
        description=f"RMSE {rmse:.6f}; predicting the training mean gives {baseline:.6f}.",
        metadata={"rmse": rmse, "baseline_rmse": baseline},
    )
