"""A bucket with 10,000 objects: what the sensor asks of the server, counted there."""

from __future__ import annotations

import logging
from collections import Counter
from urllib.parse import urlsplit

import pytest

from benchmarks.tick import fill
from wine_quality_tests.faults.fault_proxy import FaultProxy

NUMBER = 10_000
PAGE = 1000  # S3's own


@pytest.fixture
def many(s3, monkeypatch):
    """The proxy before a server whose bucket ``many`` is full."""
    # moto writes a line for each request.
    monkeypatch.setattr(logging.getLogger("werkzeug"), "disabled", True)
    fill("many", "new/", NUMBER)
    proxy = FaultProxy(s3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", proxy.uri)
    yield proxy
    proxy.stop()


@pytest.mark.slow
def test_ticks_over_ten_thousand_objects_only_list_them(many, tick):
    requested: Counter[str] = Counter()
    cursor, taken = None, 0
    while True:
        found = tick(
            cursor, place="s3://many/new/", max_runs_per_tick=4000, max_unfinished_runs=NUMBER
        )
        taken += 1
        assert len(many.requests) == taken * NUMBER // PAGE
        if not found.run_requests:
            break
        configs = [request.run_config["ops"]["raw_wine_csv"] for request in found.run_requests]
        requested.update(config["config"]["csv_url"] for config in configs)
        cursor = found.cursor
        assert len(cursor) < 25_000
    assert found.skip_message == "Nothing new among 10000 file(s) in s3://many/new/."
    assert taken == 4
    assert requested == Counter(f"s3://many/new/{n:05}.csv" for n in range(NUMBER))
    asked = [(method, urlsplit(path)) for method, path in many.requests]
    assert {(method, url.path) for method, url in asked} == {("GET", "/many")}
    assert all("list-type=2" in url.query for _, url in asked)
