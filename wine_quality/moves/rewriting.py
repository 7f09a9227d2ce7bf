"""Ids and addresses in the values of tags: the copy's, in place of the source's."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from wine_quality.moves.marks import without_ours
from wine_quality.tracking.registry.champion import PREVIOUS_TAG
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG
from wine_quality.tracking.registry.roles import AGREED_TAG, CHALLENGER, CHAMPION

_ID = re.compile(r"(?<![\w-])(?:m-)?[0-9a-f]{32}(?!\w)")
_OWN = ("mlflow.", "wine_quality.", "dagster.")
_MADE_ANEW = frozenset(
    {SIGNATURE_TAG, *(AGREED_TAG.format(role=role) for role in (CHAMPION, CHALLENGER))}
)
"""Where they were valid, and when alias and stage are there."""


@dataclass
class Copies:
    """The ids and addresses of the copies, by those of their sources.

    Attributes:
        ids: Of runs, and of logged models.
        addresses: Of the artifacts of runs and logged models.
    """

    ids: dict[str, str] = field(default_factory=dict)
    addresses: dict[str, str] = field(default_factory=dict)
    _places: dict[str, tuple[str, str]] = field(default_factory=dict)

    def note(self, old: str, new: str, old_address: str, new_address: str) -> None:
        """Note that ``new`` is the copy of ``old``."""
        self.ids[old] = new
        self._places[old] = (old_address.rstrip("/"), new_address.rstrip("/"))
        self.addresses[old_address.rstrip("/")] = new_address.rstrip("/")

    def address(self, text: str) -> str | None:
        """The address of a file or folder after the move; None where it was not copied."""
        scheme, _, rest = text.partition(":/")
        if scheme in ("runs", "models"):
            first, slash, path = rest.lstrip("/").partition("/")
            return f"{scheme}:/{self.ids[first]}{slash}{path}" if first in self.ids else None
        parts = text.rstrip("/").split("/")
        for length in range(len(parts), 0, -1):
            found = self.addresses.get("/".join(parts[:length]))
            if found is not None:
                return "/".join([found, *parts[length:]])
        return None

    def tags(self, tags: Mapping[str, str], numbers: Mapping[str, str] | None = None) -> dict:
        """The tags of a copy.

        Args:
            numbers: New number of each version of the model, by its number at the source.
        """
        return {
            key: (numbers or {}).get(text, text) if key == PREVIOUS_TAG else self._text(key, text)
            for key, text in without_ours(tags).items()
            if key not in _MADE_ANEW
        }

    def _text(self, key: str, text: str) -> str:
        if not key.startswith(_OWN):  # others' texts only where they are an id or address
            return self.ids.get(text) or (self.address(text) if "/" in text else None) or text
        for found in set(_ID.findall(text)):
            if found in self._places:
                text = text.replace(*self._places[found])
        return _ID.sub(lambda found: self.ids.get(found.group(), found.group()), text)
