"""``train_test_split``: the wines in two parts."""

from collections.abc import Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    TableColumn,
    asset,
)

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.defs import checks
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags
from wine_quality.defs.data.columns import column_schema
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.data.wine_files import note_accepted
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.wines.loading import WinesRefusedError
from wine_quality.wines.raw import RawWines
from wine_quality.wines.reader import wines_reader
from wine_quality.wines.split import PassResult


def check_split(done: PassResult, config: SplitConfig) -> list[AssetCheckResult]:
    """Whether the rows keep the contract and the parts are apart (it blocks), and how many wines
    stand in both all the same."""
    rows = (
        checks.rows_kept_before()
        if done.read is None
        else checks.rows_keep_contract(sum(one.file.rows or 0 for one in done.read), len(done.read))
    )
    return [
        rows,
        checks.parts_are_apart(done.split, config.test_fraction),
        checks.few_shared_wines(
            done.shared_wines, done.split.test_rows, config.max_shared_fraction
        ),
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
    raw_wine_csv: RawWines,
) -> Iterator[Any]:
    """The wines with a column of their part, train or test. The index is the row number in the
    file.

    With the training engines ``duckdb`` and ``spark``: sums over the rows of each part, from which
    the model is fitted, and a sample of the rows.
    """
    training_engine.require_kind(raw_wine_csv.is_streamed, "raw_wine_csv")
    reader, source = wines_reader(training_engine, wine_history), raw_wine_csv.origin.source or ""
    arrived = arrived_at(context.run.tags, source)
    try:
        done = reader.split(
            raw_wine_csv, config.test_fraction, config.seed, context.log.info, arrived
        )
    except WinesRefusedError as error:
        yield checks.rows_break_contract(error.reason)
        # Raised before the output: nothing half-aggregated is stored.
        raise Failure(str(error), allow_retries=False) from error
    split, sha256 = done.split, done.split.data.data_sha256 or ""
    if raw_wine_csv.is_streamed:
        context.instance.add_run_tags(context.run_id, data_tags(source, sha256))
    yield from note_accepted(context.instance, done.keys, done.accepted)
    yield MaterializeResult(
        value=split,
        check_results=check_split(done, config),
        metadata={
            "dagster/row_count": split.train_rows + split.test_rows,
            "train_rows": split.train_rows,
            "test_rows": split.test_rows,
            **done.facts,
            "seed": config.seed,
            "test_fraction": config.test_fraction,
            "data_sha256": sha256,
            "features": len(FEATURES),
            "target": TARGET,
        },
    )
