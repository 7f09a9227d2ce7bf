"""The order of the files of tests, and what is kept for it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from _pytest.cacheprovider import Cache

from wine_quality_tests.support import longest_first


@pytest.fixture
def config(tmp_path) -> Any:
    option = SimpleNamespace(keyword="", markexpr="")
    cache = Cache(tmp_path / "cache", None, _ispytest=True)  # type: ignore[arg-type]
    return SimpleNamespace(option=option, args=["tests"], cache=cache)


def report(file: str, seconds: float) -> pytest.TestReport:
    return pytest.TestReport(
        f"{file}::test", (file, 1, "test"), {}, "passed", None, "call", (), seconds
    )


def item(file: str, slow: bool = False) -> Any:
    marked = {"slow": True} if slow else {}
    return SimpleNamespace(nodeid=f"{file}::test", path=Path(file), get_closest_marker=marked.get)


def in_order(config: Any) -> str:
    items = [item("a"), item("b"), item("c", slow=True), item("d"), item("d"), item("e")]
    longest_first.sort(items, config)
    return "".join(one.nodeid[0] for one in items)


def test_without_a_time_slow_files_are_first(config):
    assert in_order(config) == "cabdde"


def test_long_files_are_first_after_slow_ones_not_seen_yet(config):
    longest_first.note([report("b", 1), report("d", 2), report("d", 3)], config)
    longest_first.note([report("a", 4)], config)
    assert in_order(config) == "cddabe"


@pytest.mark.parametrize("picked", [{"keyword": "x"}, {"markexpr": "not slow"}])
def test_a_part_of_a_file_is_not_its_time(config, picked):
    vars(config.option).update(picked)
    longest_first.note([report("b", 1)], config)
    config.args = ["tests/b.py::test"]
    vars(config.option).update(keyword="", markexpr="")
    longest_first.note([report("b", 1)], config)
    assert in_order(config) == "cabdde"


def test_without_a_cache_nothing_is_kept(config):
    del config.cache
    longest_first.note([report("b", 1)], config)
    assert in_order(config) == "cabdde"
