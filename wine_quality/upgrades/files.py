"""Copies a folder of artifacts, each file compared by its SHA-256; it can be done again."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upkeep.backup import sha256_of

_CHUNK = 1 << 20
_PARTIAL = ".upgrade-partial"
_REPORT = 1000


@dataclass(frozen=True)
class Extent:
    """The extent of a folder: number of files, and their bytes."""

    files: int
    bytes: int


def extent_of(folder: Path) -> Extent:
    """The extent of all files below a folder; 0 when it is not there."""
    sizes = [path.lstat().st_size for path in _files(folder)]
    return Extent(len(sizes), sum(sizes))


def copy_files(source: Path, target: Path, say: Callable[[str], None]) -> Extent:
    """Copy all files below one folder to another; what is there already and alike stays.

    Raises:
        UpgradeError: a file cannot be read or written, such as on a full disk, or was changed
            meanwhile, or another file has its name in ``target``.
    """
    number = size = 0
    target.mkdir(parents=True, exist_ok=True)
    for path in _files(source):
        try:
            size += _copy(path, target / path.relative_to(source))
        except OSError as error:
            raise UpgradeError(
                f"{path} cannot be copied to {target}: {error}. The same command goes on from "
                "there."
            ) from error
        number += 1
        if number % _REPORT == 0:
            say(f"{number} files, {size / 1e6:.0f} MB …")
    return Extent(number, size)


def _copy(path: Path, target: Path) -> int:
    """Bytes of the file; a symbolic link is copied as a link."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if path.is_symlink():
        if not target.is_symlink():
            target.symlink_to(os.readlink(path))
        return 0
    if target.exists():
        if sha256_of(path) != sha256_of(target):
            raise UpgradeError(
                f"{target} is there already and is another file than {path}; move it away."
            )
        return target.stat().st_size
    partial = target.with_name(_PARTIAL)
    digest = hashlib.sha256()
    with path.open("rb") as file, partial.open("wb") as copy:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
            copy.write(chunk)
    if sha256_of(partial) != digest.hexdigest():
        raise UpgradeError(f"the copy of {path} differs from it; is the disk damaged?")
    before = path.stat()
    os.utime(partial, ns=(before.st_atime_ns, before.st_mtime_ns))
    partial.replace(target)
    return before.st_size


def _files(folder: Path) -> Iterator[Path]:
    for parent, folders, names in os.walk(folder):
        links = [name for name in folders if (Path(parent) / name).is_symlink()]
        for name in sorted([*names, *links]):
            if name != _PARTIAL:
                yield Path(parent) / name
