"""What ``raw_wine_csv`` and ``train_test_split`` do with a streaming engine."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    Failure,
    MaterializeResult,
    MetadataValue,
    TableMetadataValue,
    TableRecord,
)

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.defs import checks
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags
from wine_quality.defs.data.split_config import SplitConfig
from wine_quality.defs.data.wine_files import FILES_SHOWN, materialization, note_files
from wine_quality.engines.resource import TrainingEngine
from wine_quality.escaping import escaped
from wine_quality.history.wine_history import WineHistory
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError

if TYPE_CHECKING:
    from dagster import DagsterInstance

    from wine_quality.wines.streaming import Streamed


def raw_files(
    config: RawWineCsvConfig,
    engine: TrainingEngine,
    history: WineHistory,
    warn: Callable[[str], None],
) -> Iterator[Any]:
    """Which files there are, and that their columns keep the contract."""
    from wine_quality.wines.streaming import look_at

    try:
        looked = look_at(config, engine, history)
    except WinesRefusedError as error:
        yield checks.data_contract(False, error.reason)
        raise Failure(str(error), allow_retries=False) from error
    files = looked["files"]
    said = (
        f"The columns of {len(files)} file(s) keep the contract; train_test_split reads the rows."
    )
    if not files:
        said = "No file arrived; those remembered kept the contract when they did."
    yield checks.data_contract(True, said)
    yield warn_of_left_out(looked["left_out"], warn)
    counts = [file["rows"] for file in files]
    yield MaterializeResult(
        value=looked,
        metadata={
            "source": looked["source"],
            "training_engine": looked["engine"],
            "files": len(files),
            "bytes": sum(file["bytes"] for file in files),
            **({} if None in counts or not files else {"dagster/row_count": sum(counts)}),
            "files_shown": _files_table(files),
            **_left_out_shown(looked["left_out"]),
        },
    )


def warn_of_left_out(
    left_out: Sequence[Mapping[str, str]], warn: Callable[[str], None]
) -> AssetCheckResult:
    """Into the log, and as a check: what of the place is not trained on."""
    for one in left_out[:FILES_SHOWN]:
        warn(f"Left out: {one['path']}: {one['reason']}")
    return checks.all_files_read(left_out)


def _left_out_shown(left_out: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    if not left_out:
        return {}
    records = [TableRecord(dict(one)) for one in left_out[:FILES_SHOWN]]
    return {"files_left_out": len(left_out), "left_out": MetadataValue.table(records)}


def _files_table(files: Sequence[Mapping[str, Any]]) -> TableMetadataValue:
    """No more of them than can be read."""
    return MetadataValue.table(
        [
            TableRecord({**file, "path": escaped(file["path"]), "rows": file["rows"] or "?"})
            for file in files[:FILES_SHOWN]
        ]
        or [TableRecord({"path": "none", "bytes": 0, "version": "", "rows": 0})]
    )


def sums(
    context: AssetExecutionContext,
    config: SplitConfig,
    engine: TrainingEngine,
    history: WineHistory,
    looked: Mapping[str, Any],
) -> Iterator[Any]:
    """The pass over the rows."""
    from wine_quality.engines.membership import Membership
    from wine_quality.wines.streaming import pass_over

    membership = Membership(config.test_fraction, engine.folds, config.seed)
    arrived = arrived_at(context.run.tags, looked["source"])
    try:
        done = pass_over(looked, membership, engine, history, context.log.info, arrived)
    except WinesRefusedError as error:
        yield checks.rows_break_contract(error.reason)
        # Raised before the output: nothing half-aggregated is stored.
        raise Failure(str(error), allow_retries=False) from error
    split = done.split
    context.instance.add_run_tags(
        context.run_id, data_tags(looked["source"], split.data["data_sha256"])
    )
    yield from note_streamed(context.instance, done)
    yield MaterializeResult(
        value=split.to_plain(),
        check_results=check_streamed(done),
        metadata={
            "dagster/row_count": split.train_rows + split.test_rows,
            "train_rows": split.train_rows,
            "test_rows": split.test_rows,
            "sampled_rows": len(split.sample.rows),
            "rows_read": sum(one.file.rows or 0 for one in done.read),
            "data_files": split.data["data_files"],
            "training_engine": split.data["training_engine"],
            "seed": config.seed,
            "test_fraction": config.test_fraction,
            "folds": engine.folds,
            "data_sha256": split.data["data_sha256"],
            "features": len(FEATURES),
            "target": TARGET,
        },
    )


def note_streamed(instance: DagsterInstance, done: Streamed) -> Iterator[Any]:
    """The partitions of ``wine_files`` as the history is now, and which files were accepted."""
    keys = {one.file.key for one in done.accumulated} | {file.key for file in done.remembered}
    if keys:
        note_files(instance, keys)
    for file in done.remembered:
        yield materialization(file)


def check_streamed(done: Streamed) -> list[AssetCheckResult]:
    """Whether the rows keep the contract and the parts are apart."""
    split = done.split
    return [
        checks.rows_keep_contract(sum(one.file.rows or 0 for one in done.read), len(done.read)),
        checks.parts_are_apart_by_hash(split.train_rows, split.test_rows),
        checks.few_shared_wines(0, split.test_rows, 0.0),
    ]
