"""Files of the local disk and of ``s3://``: which there are, and whether they have changed."""

from __future__ import annotations

import glob
import os
import sys
from collections.abc import Iterable, Sequence
from typing import IO, TYPE_CHECKING, Any, NamedTuple

from wine_quality.datasets.parquet import safe_parquet
from wine_quality.engines.batches import UnreadableFileError
from wine_quality.escaping import escaped
from wine_quality.sources.allowed_sources import before_pattern, check_allowed, check_path
from wine_quality.sources.arrivals import is_text
from wine_quality.sources.s3 import s3_options
from wine_quality.sources.source import local_path_of
from wine_quality.sources.transfer import SourceError, path_of, redact_url, split_url

if TYPE_CHECKING:
    import pyarrow.parquet as pq
    from s3fs import S3FileSystem

TIMEOUT_SECONDS = 30.0
_BLOCK_BYTES = 8 << 20
_PARQUET = (".parquet", ".pq")
SUFFIXES = (*_PARQUET, ".csv", ".csv.gz", ".tsv", ".tsv.gz")


def s3_store(timeout_seconds: float = TIMEOUT_SECONDS) -> S3FileSystem:
    """As the rest of this project reads S3: see ``sources.s3``."""
    import s3fs

    # Read ahead less than s3fs does by itself (50 MB): most of it would be read for nothing.
    options = s3_options(timeout_seconds)
    return s3fs.S3FileSystem(default_block_size=_BLOCK_BYTES, **options)


def store_of(paths: Iterable[str]) -> S3FileSystem | None:
    """One store for all files of S3, if any is."""
    return s3_store() if any(path.startswith("s3://") for path in paths) else None


def is_parquet(path: str) -> bool:
    return path.lower().endswith(_PARQUET)


def pattern_of(url: str) -> str:
    """A path or ``s3://`` as ``find_files`` takes it.

    Raises:
        UnreadableFileError: streaming engines cannot read it.
    """
    try:
        parts = split_url(url)
        scheme = parts.scheme if "://" in url else ""
        if not scheme:
            return str(path_of(url))
        if scheme == "file":
            return str(local_path_of(url))
    except SourceError as error:
        raise UnreadableFileError(str(error)) from error
    if scheme != "s3":
        raise UnreadableFileError(
            f"{redact_url(url)}: streaming engines read paths and s3://. Put the file there, or "
            'set resources.training_engine.config.engine to "in_memory".'
        )
    return url


class LeftOut(NamedTuple):
    """A file among others that is not read, and why; both as they may be shown."""

    path: str
    reason: str


class Found(NamedTuple):
    """``paths`` are to be read; ``left_out`` are not, and the reader of the others reports them."""

    paths: list[str]
    left_out: Sequence[LeftOut]


def expand(patterns: Sequence[str]) -> list[str]:
    """The paths of ``find_files``. Raises as that does."""
    return find_files(patterns).paths


def find_files(patterns: Sequence[str], trusted: bool = False) -> Found:
    """The files that the patterns name: single files, globs such as ``s3://wines/2024/*.parquet``,
    and folders or prefixes that end with a slash, whose Parquet and CSV files at any depth are
    meant (``SUFFIXES``).

    A user who may put files into a folder must not be able to keep the others from being read: a
    forbidden file among many is left out. One that is named by itself is refused.

    Args:
        trusted: Whether local paths come from code and not from run config: they may then lie
            anywhere, and lead nowhere else.

    Raises:
        UnreadableFileError: a pattern holds no file that may be read, or cannot be asked.
    """
    paths: list[str] = []
    left_out: list[LeftOut] = []
    for pattern in patterns:
        is_s3 = pattern.startswith("s3://")
        roots = [before_pattern(pattern)] if trusted and not is_s3 else []
        try:
            found = _of_s3(pattern) if is_s3 else _of_disk(pattern, roots)
        except SourceError as error:
            raise UnreadableFileError(str(error)) from error
        except _faults() as error:
            raise UnreadableFileError(f"{pattern} cannot be listed: {_keys_hint(error)}") from error
        good = []
        for path in found:
            reason = _against(path, roots)
            if reason:
                left_out.append(LeftOut(escaped(path), reason))
            else:
                good.append(path)
        if found == [pattern] and left_out and not good:
            raise UnreadableFileError(left_out[-1].reason)
        if not good:
            why = f" {left_out[-1].reason}" if found and left_out else ""
            raise UnreadableFileError(
                f"{pattern} names no file that can be read.{why} Check the path, and its pattern; "
                "a folder or an s3:// prefix ends with a slash, and its files with "
                f"{', '.join(SUFFIXES)}."
            )
        paths += sorted(good)
    return Found(list(dict.fromkeys(paths)), left_out)


def _against(path: str, roots: Sequence[str]) -> str:
    """The reason why a file that was found is not read; empty for one that is."""
    if not is_text(path):
        return f"{escaped(path)} is not UTF-8. Rename the file."
    try:
        if path.startswith("s3://"):
            check_allowed(path)
        else:
            check_path(path, more_roots=roots)  # it may be a link
    except SourceError as error:
        return str(error)
    if not path.startswith("s3://") and not os.path.isfile(path):
        return f"{escaped(path)} is not a regular file, or a link to nothing."
    return ""


def _of_s3(pattern: str) -> list[str]:
    check_allowed(pattern)
    store = s3_store()
    if pattern.endswith("/"):
        return [f"s3://{key}" for key in store.find(pattern) if _is_wines(key, pattern)]
    if store.isfile(pattern):
        return [pattern]
    return [f"s3://{key}" for key in store.glob(pattern)]


def _of_disk(pattern: str, roots: Sequence[str]) -> list[str]:
    check_path(pattern, more_roots=roots)
    if os.path.isdir(pattern):
        folders = os.walk(pattern)
        paths = [os.path.join(folder, name) for folder, _, names in folders for name in names]
        return [path for path in paths if _is_wines(path, pattern)]
    if os.path.isfile(pattern):
        return [pattern]  # also one whose name would be a pattern
    return [path for path in glob.glob(pattern) if not os.path.isdir(path)]


def _is_wines(path: str, pattern: str) -> bool:
    """Whether it is a data file, and not one that Spark and others leave beside their data, such as
    ``_temporary/`` and ``.crc``."""
    below = path.removeprefix(pattern.removeprefix("s3://").rstrip("/"))
    hidden = any(part.startswith(("_", ".")) for part in below.split("/"))
    return path.lower().endswith(SUFFIXES) and not hidden


def size_and_version(path: str, store: S3FileSystem | None = None) -> tuple[int, str]:
    """Bytes, and what changes when the content does.

    Args:
        store: For a file of S3, if there is one already (``store_of``).

    Raises:
        UnreadableFileError: it is not there any more, or the store does not answer.
    """
    try:
        if path.startswith("s3://"):
            info = (store or s3_store()).info(path)
            return int(info["size"]), str(info.get("ETag", info.get("LastModified")))
        status = os.stat(path)
        return status.st_size, f"{status.st_size}-{status.st_mtime_ns}"
    except _faults() as error:
        raise UnreadableFileError(f"{path} cannot be read: {_keys_hint(error)}") from error


def _faults() -> tuple[type[Exception], ...]:
    """Exception types of the disk, and of S3 if its library is loaded."""
    if "botocore" not in sys.modules:
        return (OSError,)
    from botocore.exceptions import BotoCoreError

    return (OSError, BotoCoreError)


def _keys_hint(error: Exception) -> str:
    if isinstance(error, OSError) and not isinstance(error, PermissionError):
        return str(error)
    return (
        f"{error}. For S3 set WINE_QUALITY_DATA_KEY, WINE_QUALITY_DATA_SECRET and "
        "WINE_QUALITY_DATA_ENDPOINT, or the AWS_* variables."
    )


def first_bytes(path: str, most: int) -> bytes:
    """The beginning of a file. Raises ``OSError``."""
    if path.startswith("s3://"):
        return s3_store().cat_file(path, end=most)
    with open(path, "rb") as file:
        return file.read(most)


def open_bytes(path: str, store: S3FileSystem | None = None) -> IO[bytes]:
    """A file from its beginning. Raises ``OSError``."""
    if path.startswith("s3://"):
        return (store or s3_store()).open(path, "rb")
    return open(path, "rb")


def check_versions(versions: dict[str, str]) -> None:
    """Raises ``UnreadableFileError`` when a file is another than it was."""
    store = store_of(versions)
    for path, version in versions.items():
        if size_and_version(path, store)[1] != version:
            raise UnreadableFileError(
                f"{path} changed while it was read; nothing of it was stored. "
                "Run again when it is written completely."
            )


def open_parquet(path: str, store: Any, buffer_bytes: int = 0) -> pq.ParquetFile:
    """A local file, or one in the store (see ``store_of``).

    Args:
        buffer_bytes: Of a local file: so much of a column is read at a time; 0: all of a row
            group's. A store is always asked for all: each piece would be a request.
    """
    parquet = safe_parquet()
    if path.startswith("s3://"):
        from pyarrow.fs import FSSpecHandler, PyFileSystem

        # ParquetFile's own `filesystem` does the same; MLflow 2.1.1's pyarrow does not have it.
        files = PyFileSystem(FSSpecHandler(store))
        return parquet.ParquetFile(files.open_input_file(path.removeprefix("s3://")))
    # Not mapped into memory: a file that is cut short meanwhile would kill the process.
    if buffer_bytes:
        # Newer Arrow fetches all columns of a row group beforehand unless it is told not to.
        return parquet.ParquetFile(path, buffer_size=buffer_bytes, pre_buffer=False)
    return parquet.ParquetFile(path)
