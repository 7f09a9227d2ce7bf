"""Wines that are passed over and not loaded: inspected, summed up, added to what came before."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.broken_rules import BrokenFilesError
from wine_quality.engines.input_files import pattern_of
from wine_quality.engines.membership import Membership
from wine_quality.engines.resource import TrainingEngine
from wine_quality.engines.row_hash import RowsHash
from wine_quality.engines.threads import progress_lines
from wine_quality.engines.training_pass import check_all_columns, sample_of, total_of
from wine_quality.history.accepted_files import AcceptedFile, key_of
from wine_quality.history.accepted_sums import SAMPLED_ROWS, AcceptedSums, write_sums
from wine_quality.history.sums import load_history_sums
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.transfer import redact_url
from wine_quality.wines.inspection import InspectedFile, Inspection
from wine_quality.wines.loading import (
    PACKAGED_NAME,
    RawWineCsvConfig,
    Say,
    WinesRefusedError,
)
from wine_quality.wines.raw import RawWines
from wine_quality.wines.split import BY_VALUES, PassResult
from wine_quality.wines.streamed import StreamedSplit

if TYPE_CHECKING:
    from wine_quality.engines.engine import Engine
    from wine_quality.engines.training_pass import FileSums
    from wine_quality.history.wine_history import WineHistory


class StreamedWines:
    """See ``wines.reader.WinesReader``: passes over the rows, and keeps their sums."""

    def __init__(self, engine: TrainingEngine, history: WineHistory) -> None:
        self._engine = engine
        self._history = history

    def load(self, config: RawWineCsvConfig, say: Say, arrived: float | None) -> Inspection:
        return inspect_files(config, self._engine, self._history)

    def split(
        self, raw: RawWines, test_fraction: float, seed: int, say: Say, arrived: float | None
    ) -> PassResult:
        assert isinstance(raw, Inspection)
        membership = Membership(test_fraction, self._engine.folds, seed)
        return aggregate(raw, membership, self._engine, self._history, say, arrived)


def inspect_files(
    config: RawWineCsvConfig, engine: TrainingEngine, history: WineHistory
) -> Inspection:
    """The files that the config names and whether their columns keep the contract; no row is read.

    Raises:
        WinesRefusedError: there is no such file, or its columns are not the contract's.
    """
    inspection = Inspection(
        engine=engine.engine.value,
        source=redact_url(config.csv_url) if config.csv_url else PACKAGED_NAME,
        training_data=config.training_data.value,
    )
    accumulated = config.training_data == TrainingData.accumulated
    if accumulated and not config.csv_url and history.all_keys():
        return replace(inspection, source=redact_url(history.base))
    with _translate_errors():
        opened = engine.open(
            [pattern_of(config.csv_url) if config.csv_url else str(PACKAGED_RED_WINE)]
        )
        try:
            check_all_columns(opened.files)
            files = [
                InspectedFile(file.path, file.bytes, file.version, file.rows)
                for file in opened.files
            ]
        finally:
            opened.close()
    return replace(inspection, files=files, left_out=opened.left_out)


def aggregate(
    inspection: Inspection,
    membership: Membership,
    engine: TrainingEngine,
    history: WineHistory,
    say: Say,
    arrived: float | None = None,
) -> PassResult:
    """Sum up the files that were inspected, and add those that were summed up before.

    Args:
        say: Called with a progress line now and then.
        arrived: When the files arrived, in Unix seconds; None: now.

    Raises:
        WinesRefusedError: unreadable, changed since, or against the contract; nothing is stored.
        HistoryError: the history cannot be used.
        ValueError: there are no wines for one of the parts.
    """
    versions = inspection.versions
    read = _sum_up(list(versions), versions, membership, engine, say) if versions else []
    packaged = str(PACKAGED_RED_WINE) in versions
    accepted = [] if packaged else [_store_sums(history, one, arrived, say) for one in read]
    accumulated: list[AcceptedSums] = []
    if inspection.training_data == TrainingData.accumulated.value and not packaged:
        accumulated = load_history_sums(
            history,
            membership,
            lambda paths, known: _sum_up(paths, known, membership, engine, say),
            say,
        )
        total, sample = total_of(accumulated), sample_of(accumulated)
        files, sha256 = len(accumulated), _sha256_of_all(accumulated)
    else:
        total, sample = total_of(read), sample_of(read)
        files, sha256 = len(read), RowsHash.total(one.rows_hash for one in read).sha256
    data = replace(
        inspection.origin,
        data_sha256=sha256,
        source=redact_url(history.base) if accumulated else inspection.source,
        data_files=files,
        split=BY_VALUES,
        test_fraction=membership.test_fraction,
        split_seed=membership.seed,
        folds=membership.folds,
    )
    split = StreamedSplit(data, total, sample, {} if accumulated else versions)
    facts = {
        "sampled_rows": len(sample.rows),
        "rows_read": sum(one.file.rows or 0 for one in read),
        "data_files": files,
        "training_engine": inspection.engine,
        "folds": membership.folds,
    }
    return PassResult(
        split,
        facts,
        read=read,
        accepted=[one for one in accepted if one],
        accumulated=accumulated,
    )


def _sum_up(
    paths: Sequence[str],
    versions: Mapping[str, str],
    membership: Membership,
    engine: TrainingEngine,
    say: Say,
) -> list[FileSums]:
    with _translate_errors():
        opened: Engine = engine.open(paths)
        try:
            for file in opened.files:
                if file.version != versions[file.path]:
                    raise UnreadableFileError(
                        f"{file.path} is not what it was when it was looked at. Materialize "
                        "raw_wine_csv again, when the file is written completely."
                    )
            found = opened.sum_files(membership, progress_lines(say, "Summed up"))
        finally:
            opened.close()
        # Of many some may be empty, as Spark writes them.
        if len(paths) == 1 and not found[0].file.rows:
            raise UnreadableFileError(f"{paths[0]} has a header and no rows.")
        if not any(one.file.rows for one in found):
            raise UnreadableFileError(f"{', '.join(paths[:5])}: no rows in {len(paths)} file(s).")
        return found


def _store_sums(
    history: WineHistory, found: FileSums, arrived: float | None, say: Say
) -> AcceptedFile | None:
    path = found.file.path
    sha256, sample = found.rows_hash.sha256, found.sample.thinned(SAMPLED_ROWS)
    file = AcceptedFile(key_of(path), redact_url(path), sha256, 0, found.file.rows or 0)
    sums = AcceptedSums(file, path, found.file.version, found.sums, sample, found.rows_hash)
    kept = history.store_version(
        file, arrived, lambda store, root, timed: write_sums(store, root, timed, sums)
    )
    if kept is None:
        shown = redact_url(path)
        say(f"The history holds a version of {shown} that arrived later; that one counts.")
    return kept


def _sha256_of_all(files: Sequence[AcceptedSums]) -> str:
    """Hash over all rows, or over the files' hashes if an older file lacks one of its rows."""
    hashes = [one.rows_hash for one in files if one.rows_hash]
    if len(hashes) == len(files):
        return RowsHash.total(hashes).sha256
    return hashlib.sha256("\n".join(sorted(one.file.sha256 for one in files)).encode()).hexdigest()


@contextmanager
def _translate_errors() -> Iterator[None]:
    """Errors of the engines, as those of files that are loaded.

    Raises:
        WinesRefusedError: what an engine raised of a file.
    """
    try:
        yield
    except (UnreadableFileError, BrokenFilesError) as error:
        raise WinesRefusedError(str(error), str(error)) from error
