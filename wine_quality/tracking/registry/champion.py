"""Which version of a registered model is the champion, and which one challenges it.

MLflow has no transactions, so a promotion leaves tags by which two that meet can see each other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from wine_quality.tracking.registry.name_filter import name_filter
from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION, Roles
from wine_quality.tracking.registry.version_search import in_unity_catalog, search_versions

# On a version: OPEN from before its promotion is decided until it is.
DECISION_TAG = "wine_quality.decision"
OPEN = "open"
# The version it took the place of; "none" for the first champion.
PREVIOUS_TAG = "wine_quality.previous_champion"
NONE = "none"
# Set by a rollback: never to be promoted by itself again.
WITHDRAWN_TAG = "wine_quality.withdrawn"

NEIGHBOURS = 20
"""Runs that end together register versions with numbers this near to each other."""


class ChampionRegistry(Roles):
    """The versions of one registered model, their roles, and how they came by them."""

    def tag(self, version: str, key: str, value: str) -> None:
        self._client.set_model_version_tag(self.name, version, key, value)

    def rivals(self, version: str, champion: str | None) -> list[str]:
        """Versions that are being decided on now, or took the place of the same champion.

        Only the neighbours are asked, however many versions the model has. Roles are read before,
        and after this version was tagged: who registers later sees that tag.
        """
        return [
            str(other.version)
            for other in self._neighbours(int(version))
            if WITHDRAWN_TAG not in other.tags
            and (
                other.tags.get(DECISION_TAG) == OPEN
                or other.tags.get(PREVIOUS_TAG) == (champion or NONE)
            )
        ]

    def _neighbours(self, number: int) -> Iterator[Any]:
        named = name_filter(self.name)
        if named and in_unity_catalog(self._client):
            # It cannot be asked for the newest, and its searches give no tags.
            found = (int(one.version) for one in search_versions(self._client, named))
            yield from self._versions(one for one in found if 0 < abs(one - number) <= NEIGHBOURS)
            return
        if named and hasattr(self._client, "set_registered_model_alias"):
            newest = self._client.search_model_versions(
                named, NEIGHBOURS, order_by=["version_number DESC"]
            )
            yield from (other for other in newest if int(other.version) != number)
            return
        # 1.26 and 2.1.1 cannot ask for the newest, and no version for a name with both quotes.
        last = number + NEIGHBOURS
        last = last if self._newest is None else min(last, self._newest)
        around = range(max(1, number - NEIGHBOURS), last + 1)
        yield from self._versions(other for other in around if other != number)

    def _versions(self, numbers: Iterable[int]) -> Iterator[Any]:
        """The versions with these numbers, as far as they exist."""
        for number in numbers:
            found = self.version(str(number))
            if found is not None:
                yield found

    def promote(self, version: str, champion: str | None) -> None:
        """Make it the champion in place of ``champion``, which stays loadable."""
        self.tag(version, PREVIOUS_TAG, champion or NONE)
        found = self.version(version)
        if found is not None and WITHDRAWN_TAG in found.tags:
            self._client.delete_model_version_tag(self.name, version, WITHDRAWN_TAG)
        self.assign_role(CHAMPION, version)
        self.revoke_role(CHALLENGER, version)
