"""What lies in a watched place: a folder, an ``s3://`` prefix or one ``http(s)://`` URL.

Only listings and headers are read here, never a file.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from wine_quality.data.source import local_path_of
from wine_quality.data.transfer import (
    SourceError,
    SourceLimits,
    redact_url,
    with_retries,
    within_deadline,
)

UNFINISHED = (".tmp", ".part", ".partial", ".crdownload", ".swp", "~")
"""Ends of names under which programs write what they rename when it is whole."""


@dataclass(frozen=True)
class Arrival:
    """One version of one file.

    Attributes:
        arrived: Unix seconds: when a local file was last touched or renamed, else what the
            server says.
        url: What ``raw_wine_csv`` takes as ``csv_url``.
        version: Another one whenever the content may be another: an ETag, or sizes and times.
    """

    arrived: float
    url: str
    version: str

    @cached_property
    def fingerprint(self) -> str:
        """Short, and the same for the same version of the same file."""
        return hashlib.sha256(f"{self.url}\0{self.version}".encode()).hexdigest()[:16]

    @property
    def moment(self) -> tuple[float, str]:
        """When it arrived, no two alike."""
        return self.arrived, self.fingerprint


def list_arrivals(place: str, suffix: str, limits: SourceLimits) -> list[Arrival]:
    """All files of the place whose names end in ``suffix``.

    Raises:
        SourceError: the place is missing, forbidden, too slow, or of an unknown kind.
    """
    scheme = urlsplit(place).scheme
    if scheme == "s3":
        from wine_quality.data.s3 import list_s3

        found = _in_time(lambda: list_s3(place, limits), place, limits)
        return [Arrival(*item) for item in found if _is_data(item[1], suffix)]
    if scheme in ("http", "https"):
        from wine_quality.data.web import head_http

        return [Arrival(*_in_time(lambda: head_http(place, limits), place, limits))]
    if scheme == "file" or "://" not in place:
        path = local_path_of(place) if scheme else Path(place).expanduser()
        return list(_local(path.absolute(), suffix))
    raise SourceError(f"{redact_url(place)}: watch a folder, s3://bucket/prefix or an https:// URL")


def _in_time(read, place: str, limits: SourceLimits):
    return within_deadline(
        lambda _given_up: with_retries(read, place, limits, lambda _line: None), place, limits
    )


def _is_data(name: str, suffix: str) -> bool:
    base = name.rpartition("/")[2]
    return base.endswith(suffix) and not base.startswith(".") and not base.endswith(UNFINISHED)


def _local(folder: Path, suffix: str) -> Iterator[Arrival]:
    if not folder.is_dir():
        raise SourceError(f"{folder} is no folder. Make it, or watch another place.")
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise SourceError(f"{folder} cannot be listed: {error.strerror}.") from error
    for entry in entries:
        if not _is_data(entry.name, suffix):
            continue
        try:
            if not entry.is_file():
                continue
            state = entry.stat()
        except OSError:
            continue  # it went away meanwhile
        # A copy may keep the modification time of its original; the change time is of this place.
        arrived = max(state.st_mtime_ns, state.st_ctime_ns)
        # Not the change time: a file that is only moved or made readable is the same version.
        version = f"{state.st_size}-{state.st_mtime_ns}-{state.st_ino}"
        yield Arrival(arrived / 1e9, entry.path, version)
