"""Locations of files in a database, rewritten for files that were copied to another folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from wine_quality.upkeep.mlflow_tables import columns, rows

LOCATIONS = {
    "experiments": ("artifact_location",),
    "runs": ("artifact_uri",),
    "model_versions": ("source", "storage_location"),
    "logged_models": ("artifact_location",),
}
"""Columns that hold a place of files, by table; not every version has all of them."""


@dataclass(frozen=True)
class Move:
    """A folder whose files are in another one from now on.

    Attributes:
        old: Paths by which the folder may be named.
        new: The folder that has the files now.
    """

    old: Sequence[Path]
    new: Path

    def prefixes(self) -> list[tuple[str, str]]:
        """Old and new prefix of the locations that move, as paths and as ``file://`` URLs."""
        found = []
        for folder in dict.fromkeys(map(str, self.old)):
            found.append((folder, str(self.new)))
            found.append((f"file://{quote(folder)}", f"file://{quote(str(self.new))}"))
        return found

    def changed(self, location: str) -> str:
        """The location after the move; one elsewhere as it is."""
        for old, new in self.prefixes():
            if location == old or location.startswith(f"{old}/"):
                return new + location[len(old) :]
        return location

    def change(self, table: str, column: str, value: Any) -> Any:
        """A cell after the move."""
        is_location = column in LOCATIONS.get(table, ()) and isinstance(value, str)
        return self.changed(value) if is_location else value


def rewrite(connection: Any, move: Move) -> int:
    """Write the new folder into a sqlite database; return the number of changed locations."""
    number = 0
    for table, column in _there(connection):
        for old, new in move.prefixes():
            done = connection.execute(
                f"UPDATE {table} SET {column} = ? || substr({column}, length(?) + 1) "
                f"WHERE {column} = ? OR substr({column}, 1, length(?) + 1) = ? || '/'",
                (new, old, old, old, old),
            )
            number += done.rowcount
    return number


def elsewhere(connection: Any, move: Move | None) -> dict[str, int]:
    """Numbers of locations outside the folder that moves, by their place: a scheme such as
    ``s3`` or ``mlflow-artifacts``, ``folder`` or ``relative path``."""
    found: dict[str, int] = {}
    for table, column in _there(connection):
        for (location,) in rows(connection, f"SELECT {column} FROM {table}"):
            if not location or (move and move.changed(location) != location):
                continue
            kind = _kind(location)
            if kind not in ("runs", "models"):  # by another row of the same database
                found[kind] = found.get(kind, 0) + 1
    return found


def _there(connection: Any) -> list[tuple[str, str]]:
    return [
        (table, column)
        for table, names in LOCATIONS.items()
        for column in names
        if column in columns(connection, table)
    ]


def _kind(location: str) -> str:
    scheme, colon, _ = location.partition(":")
    if colon and scheme.isascii() and scheme.replace("-", "").replace("+", "").isalnum():
        return scheme
    return "folder" if location.startswith("/") else "relative path"
