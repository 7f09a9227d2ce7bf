"""Asset checks: what is checked, and the sentence that each shows."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any

from dagster import AssetCheckResult, AssetCheckSeverity, AssetCheckSpec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from wine_quality.engines.input_files import LeftOut
    from wine_quality.wines.split import Evaluation, Split

DATA_CONTRACT = AssetCheckSpec(
    "data_contract",
    asset="raw_wine_csv",
    blocking=True,
    description="The eleven measurements and quality are there, are numbers within their ranges, "
    "and none is missing.",
)
ALL_FILES_READ = AssetCheckSpec(
    "all_files_read",
    asset="raw_wine_csv",
    description="No file of the folder or pattern was left out, such as a link to another folder "
    "or a file without read permission.",
)
ROWS_KEEP_CONTRACT = AssetCheckSpec(
    "rows_keep_contract",
    asset="train_test_split",
    blocking=True,
    description="With duckdb and spark: each row keeps the data contract (numbers within their "
    "ranges, none missing).",
)
PARTS_APART = AssetCheckSpec(
    "parts_are_apart",
    asset="train_test_split",
    blocking=True,
    description="No row is in both parts, and their sizes are as configured.",
)
SHARED_WINES = AssetCheckSpec(
    "few_shared_wines",
    asset="train_test_split",
    description="Few wines of the test part are also in the training part, with the same values.",
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
    description="The RMSE on the test part is lower than that of always predicting the training "
    "mean.",
)


def data_contract(passed: bool, text: str) -> AssetCheckResult:
    return AssetCheckResult(check_name=DATA_CONTRACT.name, passed=passed, description=text)


def all_files_read(left_out: Sequence[LeftOut]) -> AssetCheckResult:
    """Passes when no file was left out; else a warning."""
    text = "Every file of the place."
    if left_out:
        path, reason = left_out[0]
        text = f"{len(left_out)} file(s) were left out, such as {path}: {reason}"
    return AssetCheckResult(
        check_name=ALL_FILES_READ.name,
        passed=not left_out,
        severity=AssetCheckSeverity.WARN,
        description=text,
    )


def rows_kept_before() -> AssetCheckResult:
    return AssetCheckResult(
        check_name=ROWS_KEEP_CONTRACT.name,
        passed=True,
        description="The rows were held against the contract when raw_wine_csv loaded them.",
    )


def rows_keep_contract(rows: int, files: int) -> AssetCheckResult:
    """The check's result after a pass that found no broken rule."""
    text = f"{rows:,} row(s) of {files} file(s) keep the contract."
    return AssetCheckResult(
        check_name=ROWS_KEEP_CONTRACT.name,
        passed=True,
        description=text if files else "No file arrived; those accepted kept the contract.",
    )


def rows_break_contract(reason: str) -> AssetCheckResult:
    return AssetCheckResult(check_name=ROWS_KEEP_CONTRACT.name, passed=False, description=reason)


def parts_are_apart(split: Split, test_fraction: float) -> AssetCheckResult:
    rows, both = split.train_rows + split.test_rows, split.count_rows_in_both()
    share = split.test_rows / rows
    apart, text = True, "A wine's own values say its part, so no wine is in both; "
    if both is not None:
        # scikit-learn rounds up to whole rows.
        apart = both == 0 and abs(share - test_fraction) <= 1 / rows
        text = f"{both} row(s) in both parts; "
    return AssetCheckResult(
        check_name=PARTS_APART.name,
        passed=apart,
        description=f"{text}{share:.4f} of the rows are held out.",
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


def predictions_in_scale(evaluation: Evaluation, scale: tuple[float, float]) -> AssetCheckResult:
    metadata: dict[str, Any] = {}
    if isfinite(evaluation.lowest) and isfinite(evaluation.highest):
        metadata = {"lowest": evaluation.lowest, "highest": evaluation.highest}
    return AssetCheckResult(
        check_name=IN_SCALE.name,
        passed=evaluation.outside == 0,
        description=f"{evaluation.outside} of {evaluation.predicted_rows} predictions are not "
        f"finite or not within {scale[0]:g} to {scale[1]:g}.",
        metadata=metadata,
    )


def beats_predicting_the_mean(rmse: float, baseline: float) -> AssetCheckResult:
    return AssetCheckResult(
        check_name=BEATS_MEAN.name,
        passed=rmse < baseline,
        description=f"RMSE {rmse:.6f}; predicting the training mean gives {baseline:.6f}.",
        metadata={"rmse": rmse, "baseline_rmse": baseline},
    )
