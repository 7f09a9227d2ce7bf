"""The time zone of all schedules."""

from __future__ import annotations

import difflib
from zoneinfo import ZoneInfo, available_timezones

from wine_quality.settings.runs import TIMEZONE as VARIABLE


def time_zone() -> str:
    """``$WINE_QUALITY_TIMEZONE``, such as ``Europe/Berlin``; ``UTC`` without it.

    Raises:
        ValueError: there is no such zone; the message names some that are written like it.
    """
    given = VARIABLE.read() or "UTC"
    try:
        return ZoneInfo(given).key
    except (ValueError, OSError, KeyError) as error:  # a missing zone is a KeyError
        zones = sorted(available_timezones())
        by_city = {zone.rpartition("/")[2].lower(): zone for zone in zones}
        plain = given.strip().replace(" ", "_").rpartition("/")[2].lower()
        near = [by_city[city] for city in difflib.get_close_matches(plain, by_city, 3, 0.7)]
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        raise ValueError(
            f"{VARIABLE} is {given[:80]!r}, which is not a time zone. Use a name of the IANA "
            f"database, such as Europe/Berlin or UTC.{hint}"
        ) from error


def in_time_zone(description: str) -> str:
    """A schedule's description, with the time zone of its times."""
    return f"{description} Times are of {time_zone()} (${VARIABLE})."
