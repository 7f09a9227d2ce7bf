"""The sums of streamed files in the history: a few hundred numbers for each file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.engines.row_hash import RowsHash
from wine_quality.engines.sample import RowSample
from wine_quality.engines.split_sums import SplitSums
from wine_quality.history.accepted_files import (
    SUMS,
    AcceptedFile,
    DamagedObjectError,
    FileVersion,
    read_object,
    write_object,
)

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

SAMPLED_ROWS = 2048
"""Of a file, so that a thousand files can be read together."""


@dataclass(frozen=True, eq=False)
class AcceptedSums:
    """The sums of one accepted file, which are added to those of the others.

    Attributes:
        file: The file.
        path: Where it was read.
        version: The store's name of this version of it.
        sums: By part and fold.
        sample: Of its rows, at most ``SAMPLED_ROWS``.
        rows_hash: Of its rows; None of a file that was summed up before there was one.
    """

    file: AcceptedFile
    path: str
    version: str
    sums: SplitSums
    sample: RowSample
    rows_hash: RowsHash | None


def write_sums(
    store: AbstractFileSystem, root: str, file: AcceptedFile, found: AcceptedSums
) -> str:
    """Store them, whole or not at all; the path of the object."""
    plain = {
        "source": file.source,
        "data_sha256": file.sha256,
        "arrived": file.arrived,
        "rows": file.rows,
        "path": found.path,
        "version": found.version,
        "sums": found.sums.to_plain(),
        "sample": found.sample.to_plain(),
        **({"rows_hash": found.rows_hash.to_plain()} if found.rows_hash else {}),
    }
    return write_object(store, root, file, json.dumps(plain).encode(), SUMS)


def read_sums(store: AbstractFileSystem, version: FileVersion) -> AcceptedSums:
    """Read the sums that ``write_sums`` stored.

    Raises:
        FileNotFoundError: it was deleted meanwhile.
        DamagedObjectError: names the object.
    """
    content = read_object(store, version)
    try:
        plain: Mapping = json.loads(content)
        file = AcceptedFile(
            version.key,
            plain["source"],
            plain["data_sha256"],
            version.microseconds,
            plain["rows"],
        )
        sums, sample = SplitSums.from_plain(plain["sums"]), RowSample.from_plain(plain["sample"])
        kept = plain.get("rows_hash")
        rows_hash = RowsHash.from_plain(kept) if kept else None
        return AcceptedSums(file, plain["path"], plain["version"], sums, sample, rows_hash)
    except (ValueError, KeyError, TypeError) as error:
        raise DamagedObjectError(f"{version.path} holds no sums ({error})") from error
