"""The accepted files in the history: names of their objects, reading and writing.

One object per version of a file, never changed: ``<root>/<key>/<arrived>-<file>-<object>.parquet``,
with the time in microseconds and the starts of two SHA-256. Of a file that was streamed only its
sums are kept, in ``….sums.json``. A listing shows their order and the newest version without
opening any, parallel runs need no lock, and an object whose content does not match its name is
detected.
"""

from __future__ import annotations

import datetime
import hashlib
import io
import os
import re
import uuid
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlunsplit

from wine_quality.datasets.parquet import read_parquet, write_parquet
from wine_quality.escaping import ShownError
from wine_quality.sources.source import local_path_of
from wine_quality.sources.transfer import path_of, split_url

if TYPE_CHECKING:
    import pandas as pd
    from fsspec import AbstractFileSystem

_VERSION = re.compile(r"(\d{17})-([0-9a-f]{16})-([0-9a-f]{16})\.(parquet|sums\.json)")
ROWS, SUMS = "parquet", "sums.json"
_HASH_LENGTH = 16


class DamagedObjectError(ShownError):
    """An object is not what was stored under its name."""


@dataclass(frozen=True)
class AcceptedFile:
    """One accepted file.

    Attributes:
        key: Its name and a fingerprint of its URL, for people and for the UI.
        source: Its URL, without secrets.
        sha256: Of the file as it arrived; of one that was streamed, of its rows.
        microseconds: When it arrived, in Unix time.
    """

    key: str
    source: str
    sha256: str
    microseconds: int
    rows: int

    @property
    def arrived(self) -> str:
        """Time of arrival in UTC, such as ``2026-01-31T06:00:00.000000+00:00``."""
        return iso_time(self.microseconds / 1e6)


@dataclass(frozen=True, order=True)
class FileVersion:
    """A version of a file, read from the name of its object; the last one of a key counts.

    ``kind`` is ``ROWS`` or ``SUMS``; of two with the same time the sums, made of the rows, come
    later.
    """

    microseconds: int
    kind: str
    file_hash: str
    object_hash: str
    key: str
    path: str


def iso_time(seconds: float) -> str:
    """Unix time as ISO 8601 in UTC, to the microsecond."""
    time = datetime.datetime.fromtimestamp(seconds, datetime.timezone.utc)
    return time.isoformat(timespec="microseconds")


def key_of(url: str) -> str:
    """A name that people know the file by, with a fingerprint that makes it the only one.

    The query counts: of two URLs that differ in it, taken for one file, the first would be lost.
    """
    if "://" in url and not url.startswith("file:"):
        parts = split_url(url)
        host = parts.netloc.rpartition("@")[2]
        whole = urlunsplit((parts.scheme, host, parts.path, parts.query, ""))
        path = parts.path
    else:
        local = local_path_of(url) if "://" in url else path_of(url)
        whole = path = str(local.absolute())
    name = re.sub(r"[^A-Za-z0-9._-]+|\.{2,}", "_", path.rstrip("/").rpartition("/")[2])
    fingerprint = hashlib.sha256(whole.encode()).hexdigest()[:10]
    return f"{name.lstrip('.')[:60] or 'file'}-{fingerprint}"


def hash_matches(version: FileVersion, sha256: str) -> bool:
    """Whether it is a version with this content."""
    return sha256.startswith(version.file_hash)


def list_versions(
    store: AbstractFileSystem, root: str, key: str | None = None
) -> list[FileVersion]:
    """The versions of all files, or of one, in order."""
    found = []
    for path in store.find(f"{root}/{key}" if key else root):
        folder, _, name = str(path).rpartition("/")
        match = _VERSION.fullmatch(name)
        if match:
            holder = folder.rpartition("/")[2]
            found.append(
                FileVersion(int(match[1]), match[4], match[2], match[3], holder, str(path))
            )
    return sorted(found)


def newest_versions(
    store: AbstractFileSystem, root: str, kind: str | None = None
) -> list[FileVersion]:
    """The version that counts of each file, in order.

    Args:
        kind: Only files whose newest version is kept so; there may be both of the same time.
    """
    versions = list_versions(store, root)
    newest = {version.key: version.microseconds for version in versions}
    counting = {
        version.key: version
        for version in versions
        if version.microseconds == newest[version.key] and kind in (None, version.kind)
    }
    return sorted(counting.values())


def read_version(
    store: AbstractFileSystem, version: FileVersion
) -> tuple[AcceptedFile, pd.DataFrame]:
    """The file and its wines, without ``attrs``.

    Raises:
        FileNotFoundError: it was deleted meanwhile.
        DamagedObjectError: names the object.
    """
    content = read_object(store, version)
    frame = read_parquet(io.BytesIO(content))
    attributes, frame.attrs = frame.attrs, {}
    file = AcceptedFile(
        version.key,
        attributes["source"],
        attributes["data_sha256"],
        version.microseconds,
        len(frame),
    )
    return file, frame


def write_version(
    store: AbstractFileSystem, root: str, file: AcceptedFile, frame: pd.DataFrame
) -> str:
    """Store it, whole or not at all; the path of the object."""
    stored = frame.copy(deep=False)
    stored.attrs = {
        "source": file.source,
        "data_sha256": file.sha256,
        "arrived": file.arrived,
    }
    buffer = io.BytesIO()
    write_parquet(stored, buffer)
    return write_object(store, root, file, buffer.getvalue(), ROWS)


def read_object(store: AbstractFileSystem, version: FileVersion) -> bytes:
    """The bytes of an object, checked against the hash in its name.

    Raises:
        FileNotFoundError: it was deleted meanwhile.
        DamagedObjectError: the content has another hash.
    """
    content = store.cat_file(version.path)
    if _short_hash(content) != version.object_hash:
        raise DamagedObjectError(f"{version.path} is not what was stored under this name")
    return content


def write_object(
    store: AbstractFileSystem, root: str, file: AcceptedFile, content: bytes, kind: str
) -> str:
    """Store it, whole or not at all; the path of the object."""
    hashes = f"{file.sha256[:_HASH_LENGTH]}-{_short_hash(content)}"
    path = f"{root}/{file.key}/{file.microseconds:017d}-{hashes}.{kind}"
    if "file" in store.protocol:
        _write_local(Path(path), content)
    else:
        store.pipe_file(path, content)  # S3 shows an object when all of it was put
    return path


def delete_version(store: AbstractFileSystem, version: FileVersion) -> None:
    with suppress(FileNotFoundError):  # another run was faster
        store.rm_file(version.path)


def _write_local(path: Path, content: bytes) -> None:
    """Write a file so that it is never seen in part, also when this process or the machine dies."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.parent / f".{uuid.uuid4().hex}.tmp"
    try:
        with temporary.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _short_hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:_HASH_LENGTH]
