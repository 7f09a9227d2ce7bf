"""Where the files of what is deployed are kept: on disk, or in a store that a cluster reads."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from upath import UPath

VARIABLE = "WINE_QUALITY_DEPLOYMENTS"


def deployments(configured: str = "") -> str:
    """``configured``, else ``$WINE_QUALITY_DEPLOYMENTS``, else beside ``$WINE_QUALITY_ASSETS``,
    else in ``$WINE_QUALITY_HOME``."""
    from wine_quality.paths import home

    found = configured or os.environ.get(VARIABLE, "")
    if found:
        return found.rstrip("/")
    assets = os.environ.get("WINE_QUALITY_ASSETS", "").rstrip("/")
    parent, slash, _ = assets.rpartition("/")
    return f"{parent}/deployments" if slash and parent else str(home() / "deployments")


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
