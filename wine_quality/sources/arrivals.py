"""The files in a watched place: a folder, an ``s3://`` prefix or one ``http(s)://`` URL.

Only listings and headers are read here, never a file.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import time
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from wine_quality.escaping import escaped
from wine_quality.sources.source import local_path_of
from wine_quality.sources.transfer import (
    SourceError,
    SourceLimits,
    path_of,
    redact_url,
    split_url,
    with_retries,
    within_deadline,
)

UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Ends of names under which programs write what they rename when it is whole."""

_CLOCKS_DIFFER = 60.0
_NAME_SHOWN = 100
_EFFECTIVE_IDS = os.access in os.supports_effective_ids


@dataclass(frozen=True)
class Arrival:
    """One version of one file.

    Attributes:
        arrived: Unix seconds: when a local file was last touched or renamed, S3's LastModified,
            or when a URL was looked at.
        url: What ``raw_wine_csv`` takes as ``csv_url``.
        version: Changes whenever the content may have changed: an ETag, or sizes and times.
    """

    arrived: float
    url: str
    version: str

    @cached_property
    def fingerprint(self) -> str:
        """16 hex digits, the same for the same version of the same file."""
        return hashlib.sha256(f"{self.url}\0{self.version}".encode()).hexdigest()[:16]

    @property
    def arrival_key(self) -> tuple[float, str]:
        """Sort key by arrival, different for each arrival."""
        return self.arrived, self.fingerprint


@dataclass(frozen=True)
class Listing:
    """The files in a watched place: their number, and those that arrived since a given time.

    Attributes:
        files: How many there are, whenever they arrived.
        arrivals: Those that arrived at the time asked for or later, in no order.
        skipped: Entries that are not data files of the place, by reason.
    """

    files: int
    arrivals: list[Arrival]
    skipped: tuple[SkippedFiles, ...] = ()


@dataclass(frozen=True)
class SkippedFiles:
    """Files that are left alone for one reason, such as ``is hidden``; ``example`` is a name."""

    reason: str
    count: int
    example: str

    def __str__(self) -> str:
        if self.count == 1:
            return f"{self.example} {self.reason}"
        return f"{self.count} such as {self.example}, each {self.reason}"


def list_arrivals(place: str, suffix: str, limits: SourceLimits) -> list[Arrival]:
    """All files of the place whose names end in ``suffix``, in upper or lower case.

    Args:
        suffix: One end or several, such as ``.csv,.csv.gz``.

    Raises:
        SourceError: the place is missing, forbidden, too slow, or of an unknown kind.
    """
    return list_since(place, suffix, limits, 0.0).arrivals


def list_since(place: str, suffix: str, limits: SourceLimits, since: float) -> Listing:
    """As ``list_arrivals``, with only the files that arrived at ``since`` (Unix seconds) or later;
    earlier ones, which have been handled, are only counted.

    Raises:
        SourceError: as ``list_arrivals``.
    """
    scheme = split_url(place).scheme
    if scheme == "s3":
        from wine_quality.sources.s3 import list_s3

        objects = _in_time(lambda: list_s3(place, limits), place, limits)
        names = _Names(suffix)
        found = [item for item in objects if names.are_data(item[1])]
        arrivals = [Arrival(*item) for item in found if item[0] >= since]
        return Listing(len(found), arrivals, names.skipped())
    if scheme in ("http", "https"):
        from wine_quality.sources.web import head_http

        return Listing(1, [Arrival(*_in_time(lambda: head_http(place, limits), place, limits))])
    if scheme == "file" or "://" not in place:
        path = local_path_of(place) if scheme else path_of(place)
        return _local(path.absolute(), suffix, since)
    raise SourceError(f"{redact_url(place)}: watch a folder, s3://bucket/prefix or an https:// URL")


def _in_time(read, place: str, limits: SourceLimits):
    return within_deadline(
        lambda _given_up: with_retries(read, place, limits, lambda _line: None), place, limits
    )


class _Names:
    """Recognizes data files by their names, and counts the entries that are skipped."""

    def __init__(self, suffix: str) -> None:
        self._ends = tuple(end.strip().lower() for end in suffix.split(",") if end.strip()) or ("",)
        ends = "|".join(map(re.escape, self._ends))
        unfinished = "".join(f"(?<!{re.escape(end)})" for end in UNFINISHED)
        self._data = re.compile(
            rf"(?:.*/)?(?=[^./])[^/]*(?:{ends}){unfinished}\Z", re.DOTALL | re.IGNORECASE
        )
        self._skipped: dict[str, tuple[int, str]] = {}

    def are_data(self, path: str) -> bool:
        """Whether the path's last part ends as it must and is neither hidden nor unfinished."""
        if self._data.match(path):
            return True
        self.note_skipped(path, self._reason(path.rpartition("/")[2].lower()))
        return False

    def note_skipped(self, path: str, reason: str) -> None:
        name = path.rstrip("/").rpartition("/")[2]
        count, example = self._skipped.get(reason, (0, name))
        self._skipped[reason] = (count + 1, example)

    def skipped(self) -> tuple[SkippedFiles, ...]:
        return tuple(
            SkippedFiles(reason, count, escaped(name)[:_NAME_SHOWN])
            for reason, (count, name) in self._skipped.items()
        )

    def _reason(self, name: str) -> str:
        if not name:
            return "is a folder"
        if name.startswith("."):
            return "is hidden"
        if name.endswith(UNFINISHED):
            return "has a name of what is still written"
        return f"does not end in {' or '.join(self._ends)}"


def _local(folder: Path, suffix: str, since: float) -> Listing:
    names = _Names(suffix)
    files, arrivals = 0, []
    soon = time.time() + _CLOCKS_DIFFER
    try:
        if not folder.is_dir():
            raise SourceError(f"{folder} is not a folder. Make it, or watch another place.")
        # Without the right to search it, it would look as if each file had gone away.
        if not os.access(folder, os.R_OK | os.X_OK, effective_ids=_EFFECTIVE_IDS):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        for entry in os.scandir(folder):
            if not names.are_data(entry.name):
                continue
            try:
                if not entry.is_file():
                    names.note_skipped(
                        entry.name, "is a folder" if entry.is_dir() else "is not a file"
                    )
                    continue
                state = entry.stat()
            except OSError:
                continue  # it went away meanwhile
            if not is_text(entry.name):
                names.note_skipped(entry.name, "has a name that is not UTF-8: rename it")
                continue
            files += 1
            # A copy may keep the modification time of its original; the change time is of this
            # place. But the version does not contain it: a file that is only moved stays the same.
            # A modification time in the future is that of a clock that is wrong.
            touched = state.st_mtime if state.st_mtime <= soon else state.st_ctime
            arrived = max(state.st_ctime, touched)
            if arrived >= since:
                version = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ino}"
                arrivals.append(Arrival(arrived, entry.path, version))
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}.") from error
    return Listing(files, arrivals, names.skipped())


def is_text(name: str) -> bool:
    """Whether a file name is UTF-8: it may be any bytes, but is stored as text."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True
