"""Watched places that are forbidden, slow, changed backwards or not to be trusted."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wine_quality.sources.arrivals import list_arrivals, list_since
from wine_quality.sources.transfer import SourceError, SourceLimits
from wine_quality_tests.support.web_faults import WebFaults

QUICK = SourceLimits(timeout_seconds=5, total_seconds=10, attempts=1, retry_seconds=0.01)
NOBODY = 65534


@pytest.fixture
def web() -> Iterator[WebFaults]:
    server = WebFaults()
    yield server
    server.stop()


def as_a_user(do: Callable[[], None]) -> None:
    """For root, to whom nothing is forbidden, as a user who may not do all."""
    if os.geteuid() != 0:
        do()
        return
    os.seteuid(NOBODY)
    try:
        do()
    finally:
        os.seteuid(0)


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """pytest's own folders are closed to other users."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


@pytest.mark.parametrize("rights", [0o000, 0o444])
@pytest.mark.parametrize("inside", ["", "inside"])
def test_a_forbidden_folder_is_named(open_folder: Path, rights, inside):
    folder = open_folder / "forbidden"
    watched = folder / inside
    (folder / "inside").mkdir(parents=True)
    (folder / "a.csv").write_text("wines")

    def look() -> None:
        with pytest.raises(SourceError) as error:
            list_arrivals(str(watched), ".csv", QUICK)
        assert str(error.value) == f"{watched} cannot be listed: Permission denied."

    folder.chmod(rights)
    try:
        as_a_user(look)
    finally:
        folder.chmod(0o755)


def test_a_slow_place_names_the_setting(tick, web):
    with pytest.raises(SourceError) as error:
        tick(place=f"{web.url}/drip-header", listing_seconds=0.5)
    assert str(error.value) == (
        f"{web.url}/drip-header took longer than 0.5 s in all (WINE_QUALITY_WATCH_LISTING_SECONDS)."
    )


def test_a_file_that_is_not_there_names_the_setting(tick, web):
    with pytest.raises(SourceError) as error:
        tick(place=f"{web.url}/nothing")
    assert str(error.value) == (
        f"{web.url}/nothing: the server answered 404 Not Found. Check WINE_QUALITY_WATCH_PLACE."
    )


def test_a_url_goes_back_to_an_older_file(tick, web):
    """Last-Modified may go backwards: publishers restore files, with their times."""
    place = f"{web.url}/dated"
    web.etag, web.last_modified = "two", "Tue, 24 Nov 2026 10:00:00 GMT"
    first = tick(place=place)
    assert len(first.run_requests) == 1
    web.etag, web.last_modified = "one", "Sun, 01 Nov 2020 10:00:00 GMT"
    second = tick(first.cursor, place=place)
    assert len(second.run_requests) == 1
    assert second.run_requests[0].run_key != first.run_requests[0].run_key
    assert "Nothing new among 1 file(s)" in tick(second.cursor, place=place).skip_message


def test_a_url_by_last_modified_only(tick, web):
    place = f"{web.url}/dated"
    web.etag, web.last_modified = None, "Tue, 24 Nov 2026 10:00:00 GMT"
    first = tick(place=place)
    assert len(first.run_requests) == 1
    assert "Nothing new" in tick(first.cursor, place=place).skip_message
    web.last_modified = "Tue, 24 Nov 2026 10:00:01 GMT"
    assert len(tick(first.cursor, place=place).run_requests) == 1


def test_what_arrived_earlier_is_only_counted(tmp_path: Path, s3):
    import boto3

    for name in ("a.csv", "b.csv", "notes.txt"):
        (tmp_path / name).write_text("wines")
    client = boto3.client("s3")
    client.create_bucket(Bucket="counted")
    client.put_object(Bucket="counted", Key="new/a.csv", Body=b"a")
    client.put_object(Bucket="counted", Key="new/b.csv", Body=b"b")
    for place in (str(tmp_path), "s3://counted/new/"):
        every = list_since(place, ".csv", QUICK, 0.0)
        newest = max(arrival.arrived for arrival in every.arrivals)
        assert (every.files, len(every.arrivals)) == (2, 2)
        assert newest in [a.arrived for a in list_since(place, ".csv", QUICK, newest).arrivals]
        later = list_since(place, ".csv", QUICK, newest + 1)
        assert (later.files, later.arrivals) == (2, [])


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-24T10:00:00.000Z", 1795514400),
        ("2026-11-24T10:00:00Z", 1795514400),
        ("2026-11-24T10:00:00.5Z", 1795514400.5),
        ("2026-11-24T12:00:00+02:00", 1795514400),
        ("Tue, 24 Nov 2026 10:00:00 GMT", 1795514400),
        (1795514400, 1795514400),
    ],
)
def test_the_times_that_stores_write(text, seconds):
    from wine_quality.sources.s3 import _parse_time

    assert _parse_time(text).timestamp() == seconds
