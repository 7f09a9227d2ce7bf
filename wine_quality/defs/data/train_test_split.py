"""``train_test_split``: the wines in two parts."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    MaterializeResult,
    TableColumn,
    asset,
)

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.defs import checks
from wine_quality.defs.data import streamed_wines
from wine_quality.defs.data.columns import column_schema
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.wines.split import BY_VALUES, SHUFFLED


def split_wines(frame: Any, config: SplitConfig) -> Any:
    """The frame with the column ``part``, its ``attrs`` with how it was split added.

    One file is shuffled, as MLflow's tutorial does. Accumulated data is split by the rows' values:
    shuffled anew at each run, the champion would know rows that are held out from its challenger.

    Raises:
        ValueError: when a part would be empty.
    """
    from wine_quality.wines.split_rows import split_by_values, split_rows

    by_values = frame.attrs.get("training_data") == TrainingData.accumulated.value
    divide = split_by_values if by_values else split_rows
    split = divide(frame, config.test_fraction, config.seed)
    split.attrs = {
        **frame.attrs,
        "split": BY_VALUES if by_values else SHUFFLED,
        "test_fraction": config.test_fraction,
        "split_seed": config.seed,
    }
    return split


def check_split(split: Any, config: SplitConfig, shared: int) -> list[AssetCheckResult]:
    """Whether the parts are apart (it blocks), and how many wines stand in both all the same."""
    test_rows = int((split["part"] == "test").sum())
    if split.attrs["split"] == BY_VALUES:
        apart = checks.parts_are_apart_by_hash(len(split) - test_rows, test_rows)
    else:
        apart = checks.parts_are_apart(split, config.test_fraction)
    return [
        apart,
        checks.few_shared_wines(shared, test_rows, config.max_shared_fraction),
    ]


@asset(
    group_name=GROUP,
    kinds={"pandas", "scikitlearn"},
    owners=OWNERS,
    code_version="1",
    metadata={
        "dagster/column_schema": column_schema(
            TableColumn(name="part", type="string", description="train or test")
        )
    },
    check_specs=[checks.ROWS_KEEP_CONTRACT, checks.PARTS_APART, checks.SHARED_WINES],
)
def train_test_split(
    context: AssetExecutionContext,
    config: SplitConfig,
    wine_history: WineHistory,
    training_engine: TrainingEngine,
    raw_wine_csv,
) -> Iterator[Any]:
    """The wines in two parts; ``part`` says which, the index is the row's place in the file.

    With a streaming engine: the sums of both parts, a few hundred numbers, and a sample of rows.
    """
    from wine_quality.wines.split_rows import count_shared_wines, part_of

    training_engine.require_kind(isinstance(raw_wine_csv, dict), "raw_wine_csv")
    if training_engine.is_streaming:
        yield from streamed_wines.sums(context, config, training_engine, wine_history, raw_wine_csv)
        return
    split = split_wines(raw_wine_csv, config)
    test_rows, shared = len(part_of(split, "test")), count_shared_wines(split)
    yield MaterializeResult(
        check_results=[checks.rows_kept_before(), *check_split(split, config, shared)],
        value=split,
        metadata={
            "dagster/row_count": len(split),
            "train_rows": len(part_of(split, "train")),
            "test_rows": test_rows,
            "test_wines_also_in_train": shared,
            "seed": config.seed,
            "test_fraction": config.test_fraction,
            "split": split.attrs["split"],
            "data_sha256": split.attrs["data_sha256"],
            "features": len(FEATURES),
            "target": TARGET,
        },
    )
