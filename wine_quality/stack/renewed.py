"""A folder of a server's data that a new one takes the place of, without a moment at which a kill
would lose either."""

from __future__ import annotations

import signal
from datetime import datetime, timezone
from pathlib import Path


def fresh_place(place: Path) -> Path:
    """Where the new one is made."""
    return place.with_name(f"{place.name}.renewing")


def put_in_place(place: Path, of: str) -> Path:
    """Give the new one the name; returns where the old one is kept.

    The renames and what follows are not interrupted by Ctrl-C; ``settle`` finishes after a kill.

    Args:
        of: Goes into the name of the old one.
    """
    ignore_interrupts()
    stamp = datetime.now(timezone.utc).strftime("%Y%m%dT%H%M%SZ")
    kept = place.with_name(f"{place.name}-of-{of}-{stamp}")
    fresh_place(place).rename(_whole(place))
    place.rename(kept)
    _whole(place).rename(place)
    return kept


def ignore_interrupts() -> None:
    """From here to the end of this process, which is near, Ctrl-C would only confuse."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)


def settle(place: Path) -> None:
    """Finish a ``put_in_place`` that was killed when the old one had been moved away."""
    if _whole(place).exists() and not place.exists():
        _whole(place).rename(place)


def left_overs(place: Path) -> list[Path]:
    """The leftovers of a renewal that did not come to its end; none where the old one is away."""
    if not place.exists():
        return []
    return [found for found in (fresh_place(place), _whole(place)) if found.exists()]


def _whole(place: Path) -> Path:
    return place.with_name(f"{place.name}.renewed")
