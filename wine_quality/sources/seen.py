"""The arrivals that have been handled, in a few kilobytes for any number of them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from operator import attrgetter

from wine_quality.sources.arrivals import Arrival

OVERLAP_SECONDS = 24 * 3600.0
"""How much older than the newest an arrival may say it is: S3 dates an upload in parts by its
first part."""

KEPT = 500

_ARRIVED = attrgetter("arrived")


@dataclass
class Seen:
    """Everything up to ``mark`` has been handled, and of what is younger the ``recent`` ones.

    Attributes:
        mark: ``(arrived, fingerprint)``, in the order of arrivals.
        recent: When each arrived, by its fingerprint.
    """

    mark: tuple[float, str] = (0.0, "")
    recent: dict[str, float] = field(default_factory=dict)

    @classmethod
    def from_cursor(cls, cursor: str | None) -> Seen:
        """Read the text of ``to_cursor``; without one nothing has been handled yet.

        Raises:
            ValueError: the text is not such a cursor.
        """
        if not cursor:
            return cls()
        try:
            plain = json.loads(cursor)
            recent = {str(key): float(when) for key, when in plain["recent"].items()}
            mark = float(plain["mark"][0]), str(plain["mark"][1])
            if not all(map(math.isfinite, [mark[0], *recent.values()])):
                raise ValueError("a time is not finite")
            return cls(mark, recent)
        except (
            ValueError,
            KeyError,
            TypeError,
            AttributeError,
            IndexError,
            OverflowError,
        ) as error:
            raise ValueError(f"not a cursor of this sensor: {cursor[:80]!r}") from error

    def to_cursor(self) -> str:
        return json.dumps({"mark": self.mark, "recent": self.recent})

    def unseen(self, arrivals: Iterable[Arrival]) -> list[Arrival]:
        """The arrivals that have not been handled, the oldest first."""
        after = self.mark[0]
        return _in_order(
            arrival
            for arrival in arrivals
            if arrival.arrived >= after
            and (arrival.arrived > after or arrival.arrival_key > self.mark)
            and not (self.recent and arrival.fingerprint in self.recent)
        )

    def handled(
        self, done: Iterable[Arrival], waiting: Sequence[Arrival], now: float = math.inf
    ) -> Seen:
        """With ``done`` added; nothing that is ``waiting`` falls behind the mark, and nothing that
        arrives after ``now`` (Unix seconds), however wrong a clock was."""
        recent = {**self.recent, **{a.fingerprint: a.arrived for a in done}}
        if not recent:
            return self
        keys = sorted((when, key) for key, when in recent.items())
        mark = max(self.mark, (min(keys[-1][0], now) - OVERLAP_SECONDS, ""))
        if len(keys) > KEPT and keys[-KEPT - 1][0] <= now:
            mark = max(mark, keys[-KEPT - 1])
        first_waiting = _first_key(waiting)
        if first_waiting is not None and mark >= first_waiting:
            mark = max([self.mark, *(key for key in keys if key < first_waiting)])
        return Seen(mark, {key: when for when, key in keys if (when, key) > mark})


# Both are the order of ``arrival_key``. A fingerprint costs a hash, so of thousands only those are
# asked for it that arrived at the same time.


def _in_order(arrivals: Iterable[Arrival]) -> list[Arrival]:
    ordered = sorted(arrivals, key=_ARRIVED)
    if len(set(map(_ARRIVED, ordered))) < len(ordered):
        ordered.sort(key=attrgetter("arrival_key"))
    return ordered


def _first_key(arrivals: Sequence[Arrival]) -> tuple[float, str] | None:
    if not arrivals:
        return None
    first = min(map(_ARRIVED, arrivals))
    return min(arrival.arrival_key for arrival in arrivals if arrival.arrived == first)
