"""One set of wines out of many files: repeated deliveries counted once, contradictions settled."""

from __future__ import annotations

import enum
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.datasets.contract import FEATURES, TARGET

if TYPE_CHECKING:
    import pandas as pd


class TrainingData(enum.Enum):
    """The files that a run trains on: the newest one, or all that were accepted."""

    newest = "newest"
    accumulated = "accumulated"


class ConflictPolicy(enum.Enum):
    """The rows that count when files give the same measurements different qualities."""

    newest = "newest"
    keep = "keep"
    drop = "drop"


@dataclass(frozen=True)
class FileShare:
    """The share of one file in the merged data, in rows.

    Attributes:
        rows: All of the file's.
        duplicates: Those that files before it had brought already.
        conflicting: New rows whose measurements have another quality in another file.
        used: Those that are in the merged data under this file's name.
    """

    rows: int
    duplicates: int
    conflicting: int
    used: int

    @property
    def new(self) -> int:
        return self.rows - self.duplicates


def accumulate(
    frames: Sequence[pd.DataFrame], conflicts: ConflictPolicy
) -> tuple[pd.DataFrame, list[FileShare]]:
    """Merge files that keep the contract, the oldest first.

    Repeated rows within a file are kept: a row counts as often as in the file that repeats it
    most, so that a second delivery, or slices that overlap, add only what is new.
    Files conflict over a wine (the same eleven measurements) when they do not name the same
    qualities of it. Then its rows count that have a quality which the newest file with this wine
    names (``newest``), all of them (``keep``), or none (``drop``).

    Returns:
        The rows in the order in which they first came, numbered from 0, without ``attrs``; and the
        share of each file.
    """
    import numpy as np
    import pandas as pd

    together = pd.concat([frame.reset_index(drop=True) for frame in frames], ignore_index=True)
    together.attrs = {}
    facts = pd.DataFrame(
        {
            "file": np.repeat(np.arange(len(frames)), [len(frame) for frame in frames]),
            "wine": together.groupby(list(FEATURES), sort=False).ngroup(),
            TARGET: together[TARGET],
        }
    )
    facts["row"] = facts.groupby(["wine", TARGET], sort=False).ngroup()
    facts["copy"] = facts.groupby(["file", "row"], sort=False).cumcount()
    new = ~facts.duplicated(["row", "copy"])
    # One line for each quality that a file names of a wine.
    named = facts[["file", "wine", "row"]].drop_duplicates()
    by_wine = named.groupby("wine")
    # They agree exactly when each of a wine's files names each of its qualities.
    agreed = by_wine.size() == by_wine["file"].nunique() * by_wine["row"].nunique()
    conflicting = new & ~facts["wine"].map(agreed)
    if conflicts == ConflictPolicy.keep:
        used = new
    elif conflicts == ConflictPolicy.drop:
        used = new & ~conflicting
    else:
        deciding = named["row"][named["file"] == by_wine["file"].transform("max")]
        used = new & (~conflicting | facts["row"].isin(deciding))
    flags = pd.DataFrame({"duplicates": ~new, "conflicting": conflicting, "used": used})
    sums = flags.assign(rows=1).groupby(facts["file"]).sum().astype(int)
    shares = [FileShare(**share) for share in sums.to_dict("records")]
    return together[used].reset_index(drop=True), shares
