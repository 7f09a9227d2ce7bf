"""Wines that are passed over and not loaded: looked at, summed up, added to what came before."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.engines.batches import UnreadableFile
from wine_quality.engines.broken_rules import ContractBroken
from wine_quality.engines.membership import Membership
from wine_quality.engines.resource import TrainingEngine
from wine_quality.engines.row_hash import RowsHash
from wine_quality.engines.training_pass import check_all_columns, sample_of, total_of
from wine_quality.history.remembered import RememberedFile, key_of
from wine_quality.history.remembered_sums import SAMPLED_ROWS, RememberedSums, write_sums
from wine_quality.history.sums import all_sums
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.source import SourceError, local_path_of
from wine_quality.sources.transfer import path_of, redact_url, split_url
from wine_quality.wines.loading import PACKAGED_NAME, RawWineCsvConfig, WinesRefusedError
from wine_quality.wines.split import BY_VALUES
from wine_quality.wines.streamed import StreamedSplit

if TYPE_CHECKING:
    from wine_quality.engines.engine import Engine
    from wine_quality.engines.training_pass import FileSums
    from wine_quality.history.wine_history import WineHistory

_SECONDS_BETWEEN_LINES = 5.0

Say = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Streamed:
    """What the pass left.

    Attributes:
        split: What is trained and tested on.
        read: Files of this run.
        remembered: As the history holds them now; none of the packaged file.
        accumulated: All files that ``split`` is the sum of; empty unless accumulated.
    """

    split: StreamedSplit
    read: Sequence[FileSums]
    remembered: Sequence[RememberedFile]
    accumulated: Sequence[RememberedSums]


def look_at(
    config: RawWineCsvConfig, engine: TrainingEngine, history: WineHistory
) -> dict[str, Any]:
    """The files that the config names and whether their columns keep the contract; no row is read.

    Returns:
        What ``raw_wine_csv`` hands on: ``engine``, ``source``, ``training_data``, and ``files``
        (``path``, ``bytes``, ``version``, ``rows``), none when only what came before is used.
        ``left_out`` are files of the place that may not be read (``path``, ``reason``).

    Raises:
        WinesRefusedError: there is no such file, or its columns are not the contract's.
    """
    looked: dict[str, Any] = {
        "engine": engine.engine.value,
        "training_data": config.training_data.value,
        "source": redact_url(config.csv_url) if config.csv_url else PACKAGED_NAME,
        "files": [],
        "left_out": [],
    }
    accumulated = config.training_data == TrainingData.accumulated
    if accumulated and not config.csv_url and history.all_keys():
        return {**looked, "source": redact_url(history.base)}
    with _told_as_refused():
        opened = engine.open([_place_of(config.csv_url)])
        try:
            check_all_columns(opened.files)
            files = [
                {
                    "path": file.path,
                    "bytes": file.bytes,
                    "version": file.version,
                    "rows": file.rows,
                }
                for file in opened.files
            ]
        finally:
            opened.close()
    left_out = [one._asdict() for one in opened.left_out]
    return {**looked, "files": files, "left_out": left_out}


def pass_over(
    looked: Mapping[str, Any],
    membership: Membership,
    engine: TrainingEngine,
    history: WineHistory,
    say: Say,
    arrived: float | None = None,
) -> Streamed:
    """Sum up the files that were looked at, and add those that were summed up before.

    Args:
        looked: What ``look_at`` returned.
        say: Gets a line now and then: how far the pass is.
        arrived: When the files arrived, in Unix seconds; None: now.

    Raises:
        WinesRefusedError: unreadable, changed since, or against the contract; nothing is stored.
        HistoryError: the history cannot be used.
        ValueError: there are no wines for one of the parts.
    """
    versions = {file["path"]: file["version"] for file in looked["files"]}
    read = _sum_up(list(versions), versions, membership, engine, say) if versions else []
    packaged = str(PACKAGED_RED_WINE) in versions
    remembered = [] if packaged else [_remember(history, one, arrived, say) for one in read]
    accumulated: list[RememberedSums] = []
    if looked["training_data"] == TrainingData.accumulated.value and not packaged:
        accumulated = all_sums(
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
    data = {
        "data_sha256": sha256,
        "source": redact_url(history.base) if accumulated else looked["source"],
        "training_data": looked["training_data"],
        "data_files": files,
        "training_engine": looked["engine"],
        "split": BY_VALUES,
        "test_fraction": membership.test_fraction,
        "split_seed": membership.seed,
        "folds": membership.folds,
    }
    split = StreamedSplit(data, total, sample, {} if accumulated else versions)
    return Streamed(split, read, [one for one in remembered if one], accumulated)


def progress_lines(say: Say, doing: str) -> Callable[[int, int | None], None]:
    """A line every few seconds; none for what is over sooner."""
    last = time.monotonic()

    def report(done: int, of: int | None) -> None:
        nonlocal last
        if time.monotonic() - last < _SECONDS_BETWEEN_LINES:
            return
        last = time.monotonic()
        share = f" of {of:,} ({done / of:.0%})" if of else ""
        say(f"{doing} {done:,}{share} rows …")

    return report


def _sum_up(
    paths: Sequence[str],
    versions: Mapping[str, str],
    membership: Membership,
    engine: TrainingEngine,
    say: Say,
) -> list[FileSums]:
    with _told_as_refused():
        opened: Engine = engine.open(paths)
        try:
            for file in opened.files:
                if file.version != versions[file.path]:
                    raise UnreadableFile(
                        f"{file.path} is not what it was when it was looked at. Materialize "
                        "raw_wine_csv again, when the file is written completely."
                    )
            found = opened.sum_files(membership, progress_lines(say, "Summed up"))
        finally:
            opened.close()
        # Of many some may be empty, as Spark writes them.
        if len(paths) == 1 and not found[0].file.rows:
            raise UnreadableFile(f"{paths[0]} has a header and no rows.")
        if not any(one.file.rows for one in found):
            raise UnreadableFile(f"{', '.join(paths[:5])}: no rows in {len(paths)} file(s).")
        return found


def _remember(
    history: WineHistory, found: FileSums, arrived: float | None, say: Say
) -> RememberedFile | None:
    path = found.file.path
    sha256, sample = found.rows_hash.sha256, found.sample.thinned(SAMPLED_ROWS)
    file = RememberedFile(key_of(path), redact_url(path), sha256, 0, found.file.rows or 0)
    sums = RememberedSums(file, path, found.file.version, found.sums, sample, found.rows_hash)
    kept = history.remember_as(
        file, arrived, lambda store, root, timed: write_sums(store, root, timed, sums)
    )
    if kept is None:
        shown = redact_url(path)
        say(f"The history holds a version of {shown} that arrived later; that one counts.")
    return kept


def _place_of(url: str) -> str:
    """Raises ``UnreadableFile`` for what streaming engines cannot read."""
    if not url:
        return str(PACKAGED_RED_WINE)
    try:
        parts = split_url(url)
        scheme = parts.scheme if "://" in url else ""
        if not scheme:
            return str(path_of(url))
        if scheme == "file":
            return str(local_path_of(url))
    except SourceError as error:
        raise UnreadableFile(str(error)) from error
    if scheme != "s3":
        raise UnreadableFile(
            f"{redact_url(url)}: streaming engines read paths and s3://. Put the file there, or "
            'set resources.training_engine.config.engine to "in_memory".'
        )
    return url


def _sha256_of_all(files: Sequence[RememberedSums]) -> str:
    """Of the rows of all; of the files' own hashes where an older one has none of its rows."""
    hashes = [one.rows_hash for one in files if one.rows_hash]
    if len(hashes) == len(files):
        return RowsHash.total(hashes).sha256
    return hashlib.sha256("\n".join(sorted(one.file.sha256 for one in files)).encode()).hexdigest()


class _told_as_refused:
    """Errors of the engines, as those of files that are loaded."""

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, (UnreadableFile, ContractBroken)):
            raise WinesRefusedError(str(error), str(error)) from error
