"""Finds the files of a source, which can be read in batches; fetches one from the web."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import SUFFIXES
from wine_quality.scoring.inputs import Inputs
from wine_quality.scoring.table_rows import TableInputs
from wine_quality.sources.source import SourceLimits, local_path_of, read_source
from wine_quality.sources.table import find_table, is_table
from wine_quality.sources.transfer import SourceError, path_of, redact_url, split_url

_PARQUET_MAGIC = b"PAR1"


@dataclass(frozen=True)
class FoundSource:
    """``pattern`` for ``Inputs``; ``shown`` names a file that was fetched."""

    pattern: str
    shown: Mapping[str, str] = field(default_factory=dict)


def find_source(source: str, folder: Path, field_name: str) -> FoundSource:
    """A path, folder, pattern or ``s3://`` as it is; of ``http(s)://`` the one file, fetched.

    Args:
        source: As run config names it.
        folder: Gets a file that is fetched; its size is limited as that of training data.
        field_name: For errors.

    Raises:
        UnreadableFileError: it is not allowed, cannot be read, or is not a source of files.
    """
    try:
        parts = split_url(source)
        scheme = parts.scheme if "://" in source else ""
        if not scheme:
            return FoundSource(_as_given(source))
        if scheme == "file":
            return FoundSource(str(local_path_of(source)))
        if scheme == "s3":
            return FoundSource(source)
        if scheme in ("http", "https"):
            return _fetched(source, folder)
    except SourceError as error:
        raise UnreadableFileError(str(error)) from error
    raise UnreadableFileError(
        f"{field_name} is {redact_url(source)}, but rows are read from files only: a path, a "
        f"folder, s3:// or https:// ({', '.join(SUFFIXES)}); and from tables of PostgreSQL: "
        "postgresql://HOST:5432/DATABASE?table=SCHEMA.NAME."
    )


def open_source(
    source: str,
    folder: Path,
    field_name: str,
    threads: int,
    memory_limit: str,
    trusted: bool = False,
) -> Inputs:
    """The rows of a source of files, or of a table of PostgreSQL; to be closed.

    Args:
        threads: See ``Inputs``, as for ``memory_limit`` and ``trusted``; the others as of
            ``find_source``.

    Raises:
        UnreadableFileError: see ``find_source``, ``Inputs`` and ``TableInputs``.
    """
    if is_table(source):
        try:
            return TableInputs(find_table(source))
        except SourceError as error:
            raise UnreadableFileError(str(error)) from error
    found = find_source(source, folder, field_name)
    return Inputs([found.pattern], threads, memory_limit, found.shown, trusted)


def _as_given(source: str) -> str:
    """The path with its last slash, which stands for a folder."""
    path = str(path_of(source))
    return f"{path}/" if source.endswith("/") else path


def _fetched(url: str, folder: Path) -> FoundSource:
    content = read_source(url, SourceLimits()).content
    suffix = ".parquet" if content.startswith(_PARQUET_MAGIC) else ".csv"
    file = folder / f"fetched{suffix}"
    file.write_bytes(content)
    return FoundSource(str(file), {str(file): redact_url(url)})
