"""``raw_wine_csv``: the wines as they arrived."""

from collections.abc import Callable, Iterator
from typing import Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableRecord,
    asset,
)

from wine_quality.defs import checks
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags
from wine_quality.defs.data.columns import column_schema
from wine_quality.defs.data.wine_files import FILES_SCHEMA, WINE_FILES, note_accepted
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError
from wine_quality.wines.raw import FILES_SHOWN, RawWines
from wine_quality.wines.reader import wines_reader

_SCHEMAS = {"preview": column_schema(), "put_together_from": FILES_SCHEMA}


@asset(
    deps=[WINE_FILES],
    group_name=GROUP,
    kinds={"csv", "pandas"},
    owners=OWNERS,
    code_version="1",
    metadata={"dagster/column_schema": column_schema()},
    check_specs=[checks.DATA_CONTRACT, checks.ALL_FILES_READ],
)
def raw_wine_csv(
    context: AssetExecutionContext,
    config: RawWineCsvConfig,
    wine_history: WineHistory,
    training_engine: TrainingEngine,
) -> Iterator[Any]:
    """The wines of the CSV file, checked against the data contract (columns, types and ranges).

    With the training engines ``duckdb`` and ``spark`` this step only inspects the files;
    ``train_test_split`` reads their rows.
    """
    arrived = arrived_at(context.run.tags, config.csv_url) if config.csv_url else None
    try:
        wines = wines_reader(training_engine, wine_history).load(config, context.log.info, arrived)
    except WinesRefusedError as error:
        if error.sha256:
            tags = data_tags(config.csv_url, error.sha256, error.sha256)
            context.instance.add_run_tags(context.run_id, tags)
        yield checks.data_contract(False, error.reason)
        # Raised before the output: a file that breaks the contract replaces nothing.
        raise Failure(str(error), allow_retries=False) from error
    sha256, source = wines.origin.data_sha256, wines.origin.source
    if sha256:
        # On the run too: people look for "the run of this file" among runs.
        tags = data_tags(source or "", sha256, wines.file_sha256)
        context.instance.add_run_tags(context.run_id, tags)
    yield checks.data_contract(True, wines.conclusion())
    yield check_left_out(wines, context.log.warning)
    yield from note_accepted(context.instance, wines.keys, wines.accepted)
    tables = {
        name: MetadataValue.table([TableRecord(one) for one in records], _SCHEMAS.get(name))
        for name, records in wines.tables().items()
    }
    yield MaterializeResult(
        value=wines,
        metadata={**wines.facts(), **tables},
        tags={"data_sha256": sha256[:63]} if sha256 else None,
    )


def check_left_out(wines: RawWines, warn: Callable[[str], None]) -> AssetCheckResult:
    """Log the files of the place that are not trained on, and check that there are none."""
    for one in wines.left_out[:FILES_SHOWN]:
        warn(f"Left out: {one.path}: {one.reason}")
    return checks.all_files_read(wines.left_out)
