"""Wines read and held against the data contract, for assets and ops alike."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.datasets.accumulate import ConflictPolicy, FileShare, TrainingData, accumulate
from wine_quality.datasets.contract import summarize
from wine_quality.datasets.dialect import DataFormatError
from wine_quality.datasets.parse import BrokenContractError, parse_wine_csv
from wine_quality.escaping import ShownError, escaped
from wine_quality.history.wine_history import WineHistory
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality.sources.source import SourceError, SourceLimits, read_source
from wine_quality.sources.transfer import redact_url
from wine_quality.wines.raw import FILES_SHOWN, DataOrigin, RawWines

if TYPE_CHECKING:
    import pandas as pd

    from wine_quality.history.accepted_files import AcceptedFile

Say = Callable[[str], None]
"""Called with a line for the log."""

# Name of the packaged file in runs: its path on this machine is not part of the lineage.
PACKAGED_NAME = "wine_quality/datasets/winequality-red.csv"
_PREVIEWED_ROWS = 5


class RawWineCsvConfig(CheckedConfig):
    """The source of the wines, and limits on reading it."""

    csv_url: str = Field(
        default="",
        description="CSV file to train on: https://, s3://, file:// or a path. Empty: the UCI "
        "red-wine file shipped with the package. Runs from the UI read paths only in folders that "
        "$WINE_QUALITY_ALLOWED_ROOTS lists. With duckdb and spark: Parquet or CSV, a folder or "
        "s3:// prefix of files, or a pattern such as s3://wines/2026/*.parquet.",
    )
    max_megabytes: float = Field(
        default=256.0, gt=0, le=1e6, description="Largest file that is loaded, in MB."
    )
    timeout_seconds: float = Field(
        default=10.0,
        gt=0,
        le=3600,
        description="Seconds to wait for a connection, and for the next bytes.",
    )
    total_seconds: float = Field(
        default=120.0, gt=0, le=86400, description="Seconds for the whole transfer."
    )
    attempts: int = Field(
        default=3, ge=1, le=10, description="Number of tries when the host does not answer."
    )
    training_data: TrainingData = Field(
        default=TrainingData.newest,
        description='"newest": the file of this run. "accumulated": every file that was accepted '
        "so far, and that of this run if csv_url names one.",
    )
    conflicts: ConflictPolicy = Field(
        default=ConflictPolicy.newest,
        description="When files give the same measurements different qualities, which rows count: "
        'those that agree with the file that arrived last ("newest"), all ("keep"), none ("drop").',
    )

    def limits(self) -> SourceLimits:
        return SourceLimits(
            max_bytes=int(self.max_megabytes * 1024 * 1024),
            timeout_seconds=self.timeout_seconds,
            total_seconds=self.total_seconds,
            attempts=self.attempts,
        )


@dataclass(frozen=True, eq=False)
class LoadedWines(RawWines):
    """Wines that keep the contract.

    Attributes:
        frame: The contract's columns in its order. ``attrs`` travels with the values, so that a
            model knows its data whatever is materialized meanwhile: see ``DataOrigin``.
        bytes_read: Size of the file that was read, 0 when none was.
        file_sha256: Its hash.
        accepted_file: What the history holds of that file now; None when it is not kept there.
        files: What ``frame`` was put together from, the oldest first, and what each brought;
            empty unless accumulated.
    """

    is_streamed = False

    frame: pd.DataFrame
    bytes_read: int = 0
    file_sha256: str | None = None
    accepted_file: AcceptedFile | None = None
    files: tuple[tuple[AcceptedFile, FileShare], ...] = ()

    @property
    def origin(self) -> DataOrigin:
        return DataOrigin.of(self.frame.attrs)

    @property
    def accepted(self) -> Sequence[AcceptedFile]:
        return [self.accepted_file] if self.accepted_file else []

    @property
    def keys(self) -> set[str]:
        return {file.key for file, _ in self.files} | {file.key for file in self.accepted}

    def conclusion(self) -> str:
        if self.bytes_read:
            return "The file keeps the contract."
        return f"No file arrived; the {len(self.files)} accepted kept the contract when they did."

    def facts(self) -> dict[str, Any]:
        origin, shares = self.origin, [share for _, share in self.files]
        accumulated = {
            "files": len(shares),
            "duplicate_rows": sum(share.duplicates for share in shares),
            "conflicting_rows": sum(share.conflicting for share in shares),
            "rows_left_out": sum(share.new - share.used for share in shares),
            "conflicts": origin.conflicts,
        }
        return {
            "dagster/row_count": len(self.frame),
            "source": origin.source,
            "data_sha256": origin.data_sha256,
            **({"bytes": self.bytes_read} if self.bytes_read else {}),
            "repeated_rows": int(self.frame.duplicated().sum()),
            **(accumulated if shares else {}),
        }

    def tables(self) -> dict[str, list[dict[str, Any]]]:
        first = self.frame.head(_PREVIEWED_ROWS).to_dict("records")
        preview = [{str(k): float(v) for k, v in record.items()} for record in first]
        newest_first = list(reversed(self.files))[:FILES_SHOWN]
        files = [_share_record(file, share) for file, share in newest_first]
        return {"preview": preview, **({"put_together_from": files} if files else {})}

    def to_stored(self) -> pd.DataFrame:
        return self.frame


def _share_record(file: AcceptedFile, share: FileShare) -> dict[str, Any]:
    return {
        "file": file.key,
        "rows": share.rows,
        "new": share.new,
        "duplicates": share.duplicates,
        "conflicting": share.conflicting,
        "used": share.used,
        "arrived": file.arrived,
        "source": file.source,
    }


class WinesRefusedError(ShownError):
    """The wines cannot be read, or break the data contract; the message names source and reason.

    Attributes:
        reason: For the check ``data_contract``, which knows the source.
        sha256: Of the file, when it could be read.
    """

    def __init__(self, message: str, reason: str, sha256: str | None = None) -> None:
        super().__init__(message)
        self.reason = escaped(reason)
        self.sha256 = sha256


def load_wines(
    config: RawWineCsvConfig,
    report: Say | None = None,
    history: WineHistory | None = None,
    arrived: float | None = None,
) -> LoadedWines:
    """Read what the config names, hold it against the contract, accept it, add what came before.

    Args:
        report: Gets a line for each try that failed, and for what is not as one would expect.
        history: Where accepted files are kept; None: where the resource does by default.
        arrived: When the file of ``csv_url`` arrived, in Unix seconds; None: now.

    Raises:
        WinesRefusedError: unreadable, no wine file, or against the contract.
        HistoryError: the history cannot be used, or a file in it is damaged.
    """
    say = report or (lambda _line: None)
    history = history or WineHistory()
    if config.training_data == TrainingData.accumulated and not config.csv_url:
        files = history.load()
        if files:
            return _merged(files, config.conflicts, history)
        say(f"No file is accepted in {history.base} yet: this run trains on {PACKAGED_NAME}.")
    wines = _read(config, say)
    if not config.csv_url:
        return wines
    # Written before the others are listed: of two runs side by side one at least sees both.
    accepted = history.accept(config.csv_url, wines.frame, arrived)
    if accepted is None:
        source = wines.origin.source
        say(f"The history holds a version of {source} that arrived later; that one counts.")
    wines = replace(wines, accepted_file=accepted)
    if config.training_data == TrainingData.newest:
        return wines
    merged = _merged(history.load(), config.conflicts, history)
    return replace(wines, frame=merged.frame, files=merged.files)


def _read(config: RawWineCsvConfig, say: Say) -> LoadedWines:
    """Read one file, and check it against the contract."""
    url = config.csv_url or str(PACKAGED_RED_WINE)
    try:
        source = read_source(url, config.limits(), report=say)
    except SourceError as error:
        raise WinesRefusedError(str(error), str(error)) from error
    try:
        wines = parse_wine_csv(source.content, source.url, config.limits().max_bytes)
    except DataFormatError as error:
        raise WinesRefusedError(str(error), str(error)) from error
    except BrokenContractError as error:
        raise WinesRefusedError(str(error), summarize(error.violations), source.sha256) from error
    wines.attrs = DataOrigin(
        data_sha256=source.sha256,
        source=source.url if config.csv_url else PACKAGED_NAME,
        training_data=TrainingData.newest.value,
        data_files=1,
    ).to_plain()
    return LoadedWines(wines, len(source.content), source.sha256)


def _merged(
    accepted: list[tuple[AcceptedFile, pd.DataFrame]],
    conflicts: ConflictPolicy,
    history: WineHistory,
) -> LoadedWines:
    """The wines of all files in the history, merged."""
    files = [file for file, _ in accepted]
    frame, shares = accumulate([frame for _, frame in accepted], conflicts)
    if frame.empty:
        reason = f"each row of the {len(files)} files contradicts another file's (conflicts: drop)"
        raise WinesRefusedError(f"{redact_url(history.base)}: {reason}.", reason)
    # The same files in the same order, settled alike, are the same data.
    text = "\n".join([conflicts.value, *(file.sha256 for file in files)])
    sha256 = hashlib.sha256(text.encode()).hexdigest()
    frame.attrs = DataOrigin(
        data_sha256=sha256,
        source=redact_url(history.base),
        training_data=TrainingData.accumulated.value,
        data_files=len(files),
        conflicts=conflicts.value,
    ).to_plain()
    return LoadedWines(frame, files=tuple(zip(files, shares, strict=True)))
