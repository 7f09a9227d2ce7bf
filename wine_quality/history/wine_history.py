"""The ``wine_history`` resource: the files accepted so far, for training on all of them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedResource
from wine_quality.escaping import ShownError
from wine_quality.history.accepted_files import (
    ROWS,
    AcceptedFile,
    DamagedObjectError,
    FileVersion,
    delete_version,
    hash_matches,
    key_of,
    list_versions,
    newest_versions,
    read_version,
    write_version,
)
from wine_quality.paths import history_location
from wine_quality.policy.places import check_place
from wine_quality.policy.settings import ForbiddenConfigError
from wine_quality.sources.transfer import redact_url

if TYPE_CHECKING:
    import pandas as pd
    from fsspec import AbstractFileSystem

_TIMEOUT_SECONDS = 30.0
_WORKERS = 8
_TRIES = 5
_LATEST = 10**17 - 1


class HistoryError(ShownError, RuntimeError):
    """The history cannot be read or written; the message explains what to do."""


class WineHistory(CheckedResource):
    """Keeps each file that passed the data contract, in its newest version."""

    base_path: str = Field(
        default="",
        description="Folder or s3:// prefix. Empty: $WINE_QUALITY_HISTORY, else history in "
        "$WINE_QUALITY_HOME.",
    )

    @property
    def base(self) -> str:
        try:
            given = check_place(self.base_path, "resources.wine_history.config.base_path")
        except ForbiddenConfigError as error:
            raise HistoryError(f"the history cannot be used: {error}") from error
        return given or history_location()

    def accept(
        self, url: str, frame: pd.DataFrame, arrived: float | None = None
    ) -> AcceptedFile | None:
        """Store a file's wines, whole or not at all.

        Args:
            url: Where the file came from; files of the same URL are versions of one file.
            frame: Keeps the contract; ``attrs`` holds the file's ``data_sha256``.
            arrived: Unix seconds. None: now, or when the same content came from there before.

        Returns:
            The file as the history holds it; None when a version that arrived later is there.
        """
        file = AcceptedFile(key_of(url), redact_url(url), frame.attrs["data_sha256"], 0, len(frame))
        return self.store_version(
            file, arrived, lambda store, root, timed: write_version(store, root, timed, frame)
        )

    def store_version(
        self,
        file: AcceptedFile,
        arrived: float | None,
        write: Callable[[AbstractFileSystem, str, AcceptedFile], str],
    ) -> AcceptedFile | None:
        """Store a version of a file in place of those before.

        Args:
            file: Its ``microseconds`` are set here.
            arrived: See ``accept``.
            write: Stores it, and returns the path of the object.
        """
        microseconds = min(
            max(round((time.time() if arrived is None else arrived) * 1e6), 0), _LATEST
        )
        with self.store() as (store, root):
            known = list_versions(store, root, file.key)
            newest = known[-1] if known else None
            if newest and arrived is None and hash_matches(newest, file.sha256):
                microseconds = newest.microseconds
            if newest and newest.microseconds > microseconds:
                return None
            file = replace(file, microseconds=microseconds)
            path = write(store, root, file)
            for version in known:
                if version.path != path:
                    delete_version(store, version)
        return file

    def load(self) -> list[tuple[AcceptedFile, pd.DataFrame]]:
        """The newest version of each file whose rows are kept; the one that arrived first comes
        first.

        Raises:
            HistoryError: the place cannot be used, or an object is damaged.
        """
        from concurrent.futures import ThreadPoolExecutor

        with self.store() as (store, root), ThreadPoolExecutor(_WORKERS) as pool:
            for _ in range(_TRIES):
                rows = newest_versions(store, root, ROWS)
                order = sorted(rows, key=lambda v: (v.microseconds, v.key))
                try:
                    return list(pool.map(lambda version: _read(store, version), order))
                except FileNotFoundError:
                    continue  # superseded or forgotten since it was listed
        raise HistoryError(f"the history {self.base} changes faster than it is read. Try again.")

    # Not keys(): Dagster would take this for a mapping.
    def all_keys(self) -> list[str]:
        """The keys of all files, damaged ones too."""
        with self.store() as (store, root):
            return sorted({version.key for version in list_versions(store, root)})

    def find(self, key: str) -> AcceptedFile:
        """The newest version of a file that was accepted, without its rows.

        Raises:
            HistoryError: the file is not in the history, or its object is damaged.
        """
        require_key(key)
        with self.store() as (store, root):
            versions = list_versions(store, root, key)
            if not versions:
                raise HistoryError(f"the history {self.base} holds no {key}.")
            return _read_file(store, versions[-1])

    def forget(self, key: str) -> None:
        """Delete all versions of a file."""
        require_key(key)
        with self.store() as (store, root):
            for version in list_versions(store, root, key):
                delete_version(store, version)

    @contextmanager
    def store(self) -> Iterator[tuple[AbstractFileSystem, str]]:
        """The file system of the base, and the base's path in it."""
        from fsspec.core import url_to_fs

        options: dict[str, Any] = {}
        faults: tuple[type[Exception], ...] = (OSError,)
        if self.base.startswith("s3://"):
            from botocore.exceptions import BotoCoreError

            from wine_quality.sources.s3 import s3_options

            options, faults = s3_options(_TIMEOUT_SECONDS), (OSError, BotoCoreError)
        try:
            store, root = url_to_fs(self.base, **options)
        except (ValueError, ImportError) as error:
            raise self._unusable(error) from error
        try:
            yield store, root.rstrip("/")
        except faults as error:
            raise self._unusable(error) from error

    def _unusable(self, error: Exception) -> HistoryError:
        return HistoryError(
            f"the history {redact_url(self.base)} cannot be used: {error}. See that the place is "
            "there and can be written to, or name another in "
            "resources.wine_history.config.base_path or $WINE_QUALITY_HISTORY."
        )


def _read(store: AbstractFileSystem, version: FileVersion) -> tuple[AcceptedFile, pd.DataFrame]:
    with translate_damage(version):
        return read_version(store, version)


def _read_file(store: AbstractFileSystem, version: FileVersion) -> AcceptedFile:
    if version.kind == ROWS:
        return _read(store, version)[0]
    from wine_quality.history.accepted_sums import read_sums

    with translate_damage(version):
        return read_sums(store, version).file


def require_key(key: str) -> None:
    """Raises ``HistoryError`` for text that is not a file's key, and could name another folder."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", key) or ".." in key:
        raise HistoryError(f"{key!r} is not a key of an accepted file.")


@contextmanager
def translate_damage(version: FileVersion) -> Iterator[None]:
    """Raise ``HistoryError`` with advice for an object that is damaged."""
    try:
        yield
    except DamagedObjectError as error:
        raise HistoryError(
            f"the history is damaged: {error}. Delete it with `make forget FILE={version.key}`, "
            "and have the file arrive again."
        ) from error
