"""The sums of all files that were accepted so far; those that are missing are made."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import size_and_version
from wine_quality.engines.membership import Membership
from wine_quality.history.accepted_files import (
    ROWS,
    SUMS,
    AcceptedFile,
    FileVersion,
    delete_version,
    list_versions,
    newest_versions,
    read_version,
)
from wine_quality.history.accepted_sums import (
    SAMPLED_ROWS,
    AcceptedSums,
    read_sums,
    write_sums,
)
from wine_quality.history.wine_history import HistoryError, WineHistory, translate_damage

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

    from wine_quality.engines.training_pass import FileSums

_WORKERS = 8
_TRIES = 5

SumUp = Callable[[Sequence[str], Mapping[str, str]], "list[FileSums]"]
"""Passes over files, whose versions it checks."""


class _Missing(NamedTuple):
    """A file whose sums are to be made, where to read it, and the version that must be there."""

    file: AcceptedFile
    path: str
    version: str


def load_history_sums(
    history: WineHistory, membership: Membership, sum_up: SumUp, say: Callable[[str], None]
) -> list[AcceptedSums]:
    """The sums of the newest version of each file, in the order of their arrival.

    Sums that are kept are only read. A file whose rows are kept (it was trained on in memory), or
    that was divided otherwise, is passed over, and its sums are kept from then on.

    Raises:
        HistoryError: no file is accepted yet, an object is damaged, or a file that must be read
            again is gone or another.
    """
    with history.store() as (store, root):
        found, missing = _kept(history, store, root, membership)
        if missing:
            say(f"{len(missing)} accepted file(s) were not divided like this yet: reading them.")
        for key, sums in _made(missing, sum_up).items():
            path = write_sums(store, root, sums.file, sums)
            for version in list_versions(store, root, key):
                # Of the same arrival there are one file's sums: those of the latest division.
                if version.kind == SUMS and version.path != path:
                    delete_version(store, version)
            found[key] = sums
    if not found:
        raise HistoryError(
            f"the history {history.base} holds no file yet. Train on one first: csv_url."
        )
    return sorted(found.values(), key=lambda one: (one.file.microseconds, one.file.key))


def _kept(
    history: WineHistory, store: AbstractFileSystem, root: str, membership: Membership
) -> tuple[dict[str, AcceptedSums], dict[str, _Missing]]:
    """The sums that can be used, and what must be read for those that cannot; by key."""
    from concurrent.futures import ThreadPoolExecutor

    def look(version: FileVersion) -> AcceptedSums | _Missing:
        with translate_damage(version):
            if version.kind == ROWS:
                return _kept_rows(store, version)
            known = read_sums(store, version)
        if known.sums.membership == membership:
            return known
        return _Missing(known.file, known.path, known.version)

    with ThreadPoolExecutor(_WORKERS) as pool:
        for _ in range(_TRIES):
            versions = newest_versions(store, root)
            try:
                looked = list(pool.map(look, versions))
            except FileNotFoundError:
                continue  # superseded or forgotten since it was listed
            seen = {version.key: one for version, one in zip(versions, looked, strict=True)}
            return (
                {key: one for key, one in seen.items() if isinstance(one, AcceptedSums)},
                {key: one for key, one in seen.items() if isinstance(one, _Missing)},
            )
    raise HistoryError(f"the history {history.base} changes faster than it is read. Try again.")


def _kept_rows(store: AbstractFileSystem, version: FileVersion) -> _Missing:
    """The file, the path of the object that holds its rows, and that object's version."""
    file, _ = read_version(store, version)
    path = version.path if "file" in store.protocol else f"s3://{version.path}"
    return _Missing(file, path, size_and_version(path)[1])


def _made(missing: Mapping[str, _Missing], sum_up: SumUp) -> dict[str, AcceptedSums]:
    """The sums of files that have none, by key."""
    if not missing:
        return {}
    for file, path, version in missing.values():
        try:
            same = size_and_version(path)[1] == version
        except UnreadableFileError:
            same = False
        if not same:
            raise HistoryError(
                f"{file.source} was summed up for another division of the wines, and cannot be "
                "read again: it is gone, or another file now. Use the test_fraction, seed and "
                f"folds of before, or forget it: make forget FILE={file.key}"
            )
    versions = {path: version for _, path, version in missing.values()}
    by_path = {one.file.path: one for one in sum_up(list(versions), versions)}
    made = {}
    for key, (file, path, version) in missing.items():
        one = by_path[path]
        kept = replace(file, rows=one.file.rows or 0)
        sample = one.sample.thinned(SAMPLED_ROWS)
        made[key] = AcceptedSums(kept, path, version, one.sums, sample, one.rows_hash)
    return made
