"""Files of what is deployed, put where it is kept: on disk, or in a store that a cluster reads."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath


def copy_into(folder: Path, target: UPath, last: str) -> None:
    """All files below a folder, those that are called ``last`` after all others.

    A reader that finds that one finds the rest.
    """
    files = sorted(
        (path for path in folder.rglob("*") if path.is_file()), key=lambda path: path.name == last
    )
    for path in files:
        copy = target.joinpath(*path.relative_to(folder).parts)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
