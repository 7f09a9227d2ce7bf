"""``raw_wine_csv``: the wines as they arrived."""

from collections.abc import Iterator
from functools import partial
from typing import Any

from dagster import (
    AssetExecutionContext,
    AssetMaterialization,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableMetadataValue,
    TableRecord,
    asset,
)

from wine_quality.defs import checks
from wine_quality.defs.data import streamed_wines
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags
from wine_quality.defs.data.columns import column_schema
from wine_quality.defs.data.wine_files import WINE_FILES, files_table, materialization, note_files
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.wines.loading import LoadedWines, RawWineCsvConfig, WinesRefusedError, load_wines


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
    """The wines as they arrived, checked against the data contract.

    With a streaming engine this step only inspects the files; ``train_test_split`` reads the rows.
    """
    if training_engine.is_streaming:
        warn = context.log.warning
        yield from streamed_wines.raw_files(config, training_engine, wine_history, warn)
        return
    tag_run = partial(context.instance.add_run_tags, context.run_id)
    arrived = arrived_at(context.run.tags, config.csv_url) if config.csv_url else None
    try:
        wines = load_wines(config, context.log.info, wine_history, arrived)
    except WinesRefusedError as error:
        if error.sha256:
            tag_run(data_tags(config.csv_url, error.sha256, error.sha256))
        yield checks.data_contract(False, error.reason)
        # Raised before the output: a file that breaks the contract replaces nothing.
        raise Failure(str(error), allow_retries=False) from error
    # On the run too: people look for "the run of this file" among runs.
    tag_run(data_tags(wines.source, wines.sha256, wines.file_sha256))
    said = "The file keeps the contract."
    if not wines.bytes_read:
        said = (
            f"No file arrived; the {len(wines.files)} remembered kept the contract when they did."
        )
    yield checks.data_contract(True, said)
    yield checks.all_files_read(())
    yield from _file_history(context, wines)
    yield MaterializeResult(
        value=wines.frame,
        metadata={
            "dagster/row_count": len(wines.frame),
            "source": wines.source,
            "data_sha256": wines.sha256,
            **({"bytes": wines.bytes_read} if wines.bytes_read else {}),
            "repeated_rows": int(wines.frame.duplicated().sum()),
            "preview": _preview(wines.frame),
            **_shares(wines),
        },
        tags={"data_sha256": wines.sha256[:63]},
    )


def _file_history(
    context: AssetExecutionContext, wines: LoadedWines
) -> Iterator[AssetMaterialization]:
    """The partitions of ``wine_files`` as the history is now, and that this file was accepted."""
    keys = {file.key for file, _ in wines.files}
    if wines.remembered:
        keys.add(wines.remembered.key)
    if keys:
        note_files(context.instance, keys)
    if wines.remembered:
        yield materialization(wines.remembered)


def _shares(wines: LoadedWines) -> dict[str, Any]:
    """What accumulated data was put together from."""
    if not wines.files:
        return {}
    shares = [share for _, share in wines.files]
    return {
        "files": len(shares),
        "duplicate_rows": sum(share.duplicates for share in shares),
        "conflicting_rows": sum(share.conflicting for share in shares),
        "rows_left_out": sum(share.new - share.used for share in shares),
        "conflicts": wines.frame.attrs["conflicts"],
        "put_together_from": files_table(wines.files),
    }


def _preview(frame: Any, rows: int = 5) -> TableMetadataValue:
    """The first rows."""
    records = frame.head(rows).to_dict("records")
    return MetadataValue.table(
        records=[TableRecord({k: float(v) for k, v in record.items()}) for record in records],
        schema=column_schema(),
    )
