"""Wines read and held against the data contract, for assets and ops alike."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dagster import Config
from pydantic import Field

from wine_quality.data.contract import check_contract, conform, summarize
from wine_quality.data.parse import DataFormatError, parse_wine_csv
from wine_quality.data.source import PACKAGED_RED_WINE, SourceError, SourceLimits, read_source

if TYPE_CHECKING:
    import pandas as pd

# What runs say of the default: where it lies on this machine is nobody's lineage.
PACKAGED_NAME = "wine_quality/data/winequality-red.csv"


class RawWineCsvConfig(Config):
    """Where the wines come from, and how long and how much may be read."""

    csv_url: str = Field(
        default="",
        description="https://, s3://, file:// or a path. Empty: the UCI red-wine file shipped "
        "with the package.",
    )
    max_megabytes: float = Field(default=256.0, gt=0, description="Refuse anything larger.")
    timeout_seconds: float = Field(
        default=10.0, gt=0, description="To connect, and between bytes, in seconds."
    )
    total_seconds: float = Field(
        default=120.0, gt=0, description="For the whole transfer, in seconds."
    )
    attempts: int = Field(default=3, ge=1, le=10, description="Tries before giving up.")

    def limits(self) -> SourceLimits:
        return SourceLimits(
            max_bytes=int(self.max_megabytes * 1024 * 1024),
            timeout_seconds=self.timeout_seconds,
            total_seconds=self.total_seconds,
            attempts=self.attempts,
        )


@dataclass(frozen=True)
class LoadedWines:
    """Wines that keep the contract.

    Attributes:
        frame: The contract's columns in its order; ``attrs`` holds ``data_sha256`` and ``source``,
            which travel with the values, so that a model knows its data whatever is materialized
            meanwhile.
        bytes_read: Size of the file.
    """

    frame: pd.DataFrame
    bytes_read: int

    @property
    def source(self) -> str:
        return self.frame.attrs["source"]

    @property
    def sha256(self) -> str:
        return self.frame.attrs["data_sha256"]


class WinesRefusedError(Exception):
    """The wines cannot be read, or break the data contract; the message names source and reason.

    Attributes:
        reason: For the check ``data_contract``, which knows the source.
        sha256: Of the file, when it could be read.
    """

    def __init__(self, message: str, reason: str, sha256: str | None = None) -> None:
        super().__init__(message)
        self.reason = reason
        self.sha256 = sha256


def load_wines(
    config: RawWineCsvConfig, report: Callable[[str], None] | None = None
) -> LoadedWines:
    """Read what the config names, and hold it against the contract.

    Args:
        report: Gets a line for each try that failed.

    Raises:
        WinesRefusedError: unreadable, no wine file, or against the contract.
    """
    url = config.csv_url or str(PACKAGED_RED_WINE)
    try:
        source = read_source(url, config.limits(), report=report)
        frame = parse_wine_csv(source.content, source.url)
    except (SourceError, DataFormatError) as error:
        raise WinesRefusedError(str(error), str(error)) from error
    violations = check_contract(frame)
    if violations:
        reason = summarize(violations)
        message = f"{source.url} breaks the data contract. {reason}"
        raise WinesRefusedError(message, reason, source.sha256)
    wines = conform(frame)
    shown = source.url if config.csv_url else PACKAGED_NAME
    wines.attrs = {"data_sha256": source.sha256, "source": shown}
    return LoadedWines(wines, len(source.content))
