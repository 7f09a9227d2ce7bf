"""Files that took long the last time are begun first, so that what is left for the end is short.

How long is kept in pytest's cache. xdist by itself leaves the files with the fewest tests, which
are long, and the workers that share the files do not end together.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import pytest

_KEY = "wine_quality/seconds_of_files"


def sort(items: list[pytest.Item], config: pytest.Config) -> None:
    """The files whose time is known by it, after those with slow tests whose time is not."""
    seconds = _known(config)
    slow = {item.path for item in items if item.get_closest_marker("slow")}

    def turn(item: pytest.Item) -> tuple[int, float]:
        known = seconds.get(item.nodeid.partition("::")[0])
        if known is None:
            return (0 if item.path in slow else 2), 0.0
        return 1, -known

    items.sort(key=turn)


def note(reports: Iterable[Any], config: pytest.Config) -> None:
    """Keep the seconds of the files that these reports are of, and of others those known; nothing
    where parts of files were picked."""
    option = config.option
    if option.keyword or option.markexpr or any("::" in given for given in config.args):
        return
    taken: defaultdict[str, float] = defaultdict(float)
    for report in reports:
        if isinstance(report, pytest.TestReport):
            taken[report.nodeid.partition("::")[0]] += report.duration
    if taken and (cache := getattr(config, "cache", None)) is not None:
        cache.set(_KEY, {**_known(config), **taken})


def _known(config: pytest.Config) -> dict[str, float]:
    cache = getattr(config, "cache", None)
    return {} if cache is None else cache.get(_KEY, {})
