"""The sensor's ticks: each file once, in batches, whatever happens between them."""

from __future__ import annotations

import os
import random
from dataclasses import replace
from pathlib import Path

import pytest

from wine_quality.dagster_support.run_tag_names import SOURCE_TAG
from wine_quality.defs.data.arrival_tags import arrived_at
from wine_quality.sources.arrivals import Arrival, list_arrivals
from wine_quality.sources.seen import KEPT, OVERLAP_SECONDS, Seen
from wine_quality.sources.transfer import SourceError, SourceLimits
from wine_quality_tests.support.web_faults import WebFaults

QUICK = SourceLimits(timeout_seconds=0.5, total_seconds=3, attempts=2, retry_seconds=0.01)

PATIENT = replace(QUICK, timeout_seconds=10, total_seconds=30)


def arrival(when: float, name: str = "a.csv", version: str = "1") -> Arrival:
    return Arrival(when, f"/wines/{name}", version)


def drain(seen: Seen, present: list[Arrival], batch: int) -> tuple[Seen, list[Arrival]]:
    """Ticks until nothing is new; the cursor goes through its text each time."""
    trained: list[Arrival] = []
    while new := seen.unseen(present):
        trained += new[:batch]
        seen = Seen.from_cursor(seen.handled(new[:batch], new[batch:]).to_cursor())
    return seen, trained


def test_each_version_is_handled_once_in_order():
    first = [arrival(3, "c"), arrival(1, "a"), arrival(2, "b")]
    seen, trained = drain(Seen(), first, batch=2)
    assert [a.url[-1] for a in trained] == ["a", "b", "c"]
    changed = arrival(4, "a", version="2")
    assert seen.unseen([*first, changed]) == [changed]


def test_one_that_arrived_late_is_not_missed():
    """An upload in parts is dated by its first part."""
    now = 1e9
    seen, _ = drain(Seen(), [arrival(now, "new")], batch=5)
    late = arrival(now - OVERLAP_SECONDS / 2, "late")
    assert seen.unseen([late]) == [late]


def test_the_cursor_stays_small():
    shuffled = [arrival(1e9 + n, f"{n}.csv") for n in range(10_000)]
    random.Random(1).shuffle(shuffled)
    seen, trained = drain(Seen(), shuffled, batch=500)
    assert len(trained) == len(set(trained)) == 10_000
    assert len(seen.recent) <= KEPT
    assert len(seen.to_cursor()) < 25_000
    assert seen.unseen(shuffled) == []


def test_what_waits_never_falls_behind_the_mark():
    """A file still being written may be older than thousands that are whole."""
    waiting = arrival(5, "waiting")
    others = [arrival(10 + n, f"{n}.csv") for n in range(3 * KEPT)]
    seen = Seen().handled(others, [waiting])
    assert seen.unseen([*others, waiting]) == [waiting]
    assert seen.handled([waiting], []).unseen([*others, waiting]) == []


def test_thousands_that_arrived_in_one_second():
    same = [arrival(7, f"{n}.csv") for n in range(2 * KEPT)]
    seen, trained = drain(Seen(), same, batch=300)
    assert len(set(trained)) == len(trained) == 2 * KEPT
    assert seen.unseen(same) == []


@pytest.mark.parametrize("cursor", ["x", "{}", '{"mark": 1, "recent": {}}', "[]", "null"])
def test_a_cursor_of_something_else_is_refused(cursor):
    with pytest.raises(ValueError, match="not a cursor"):
        Seen.from_cursor(cursor)


def test_a_folder(tmp_path: Path):
    for name in ("b.csv", "a.csv", ".hidden.csv", "c.csv.part", "notes.txt", "~d.csv~"):
        (tmp_path / name).write_text("x")
    (tmp_path / "folder.csv").mkdir()
    os.utime(tmp_path / "a.csv", (1, 1))  # a copy that kept its time arrived now all the same
    found = {Path(a.url).name: a for a in list_arrivals(str(tmp_path), ".csv", QUICK)}
    assert sorted(found) == ["a.csv", "b.csv"]
    assert found["a.csv"].arrived > 1e9
    again = list_arrivals(tmp_path.as_uri(), ".csv", QUICK)
    assert {a.fingerprint for a in again} == {a.fingerprint for a in found.values()}
    (tmp_path / "a.csv").write_text("xy")
    changed = {Path(a.url).name: a for a in list_arrivals(str(tmp_path), ".csv", QUICK)}
    assert changed["a.csv"].fingerprint != found["a.csv"].fingerprint
    assert changed["b.csv"].fingerprint == found["b.csv"].fingerprint


@pytest.mark.parametrize(
    ("place", "words"),
    [
        ("/nowhere/wines", "is not a folder. Make it"),
        ("ftp://host/wines", "watch a folder, s3://bucket/prefix or an https:// URL"),
    ],
)
def test_a_place_that_cannot_be_watched(place, words):
    with pytest.raises(SourceError, match=words):
        list_arrivals(place, ".csv", QUICK)


def test_a_url_by_its_etag():
    web = WebFaults()
    try:
        [first] = list_arrivals(f"{web.url}/tagged", ".csv", QUICK)
        [same] = list_arrivals(f"{web.url}/tagged", ".csv", QUICK)
        assert first.fingerprint == same.fingerprint
        web.etag = "two"
        [other] = list_arrivals(f"{web.url}/tagged", ".csv", QUICK)
        assert other.fingerprint != first.fingerprint
        with pytest.raises(SourceError, match="sends neither ETag nor Last-Modified"):
            list_arrivals(f"{web.url}/wines.csv", ".csv", QUICK)
        with pytest.raises(SourceError, match=r"no answer within 0.5 s, after 2 attempt\(s\)"):
            list_arrivals(f"{web.url}/hang", ".csv", QUICK)
        with pytest.raises(SourceError, match="answered 404"):
            list_arrivals(f"{web.url}/nothing", ".csv", QUICK)
    finally:
        web.stop()


def test_a_bucket(s3):
    import boto3

    client = boto3.client("s3")
    client.create_bucket(Bucket="arriving")
    for n in range(1005):  # more than one page
        client.put_object(Bucket="arriving", Key=f"new/{n}.csv", Body=b"%d" % n)
    client.put_object(Bucket="arriving", Key="new/readme.txt", Body=b"x")
    client.put_object(Bucket="arriving", Key="old/1.csv", Body=b"x")
    found = {a.url: a for a in list_arrivals("s3://arriving/new/", ".csv", PATIENT)}
    assert len(found) == 1005
    assert "s3://arriving/new/7.csv" in found
    client.put_object(Bucket="arriving", Key="new/7.csv", Body=b"other")
    again = {a.url: a for a in list_arrivals("s3://arriving/new/", ".csv", PATIENT)}
    changed = [url for url in found if again[url].fingerprint != found[url].fingerprint]
    assert changed == ["s3://arriving/new/7.csv"]
    assert list_arrivals("s3://arriving/empty/", ".csv", PATIENT) == []
    with pytest.raises(SourceError, match="no such bucket"):
        list_arrivals("s3://nowhere/new/", ".csv", PATIENT)


def test_a_tick_requests_a_run_per_file_in_batches(tick, tmp_path: Path):
    for n in range(7):
        (tmp_path / f"{n}.csv").write_text("wines")
    first = tick(max_runs_per_tick=5, alpha=0.1, training_data="accumulated", conflicts="keep")
    assert len(first.run_requests) == 5
    assert len({request.run_key for request in first.run_requests}) == 5
    config = first.run_requests[0].run_config
    assert config["resources"]["hyperparameters"]["config"] == {"alpha": 0.1, "l1_ratio": 0.5}
    assert config["resources"]["mlflow"]["config"] == {"version": "3"}
    tags = first.run_requests[0].tags
    assert tags[SOURCE_TAG] == config["ops"]["raw_wine_csv"]["config"]["csv_url"]
    data = config["ops"]["raw_wine_csv"]["config"]
    assert (data["training_data"], data["conflicts"]) == ("accumulated", "keep")
    arrived = [arrived_at(r.tags, r.tags[SOURCE_TAG]) for r in first.run_requests]
    assert arrived == sorted(set(arrived))  # precise enough to tell them apart
    second = tick(first.cursor)
    assert len(second.run_requests) == 2
    third = tick(second.cursor)
    assert not third.run_requests
    assert third.skip_message == f"Nothing new among 7 file(s) in {tmp_path}."
    # The same tick again, as after a daemon that died before it stored the cursor.
    again = tick(first.cursor)
    assert [r.run_key for r in again.run_requests] == [r.run_key for r in second.run_requests]


def test_a_file_that_may_still_be_written_waits(tick, tmp_path: Path):
    (tmp_path / "growing.csv").write_text("wi")
    skipped = tick(settle_seconds=3600)
    assert skipped.skip_message == (
        f"Nothing new among 0 file(s) in {tmp_path}; 1 may still be written."
    )


def test_a_tick_that_has_nothing_to_do_says_why(tick, tmp_path: Path):
    assert "Set WINE_QUALITY_WATCH_PLACE" in tick(place="").skip_message
    assert tick().skip_message == f"Nothing new among 0 file(s) in {tmp_path}."


def test_names_in_upper_case_are_data_and_what_is_passed_over_is_counted(tick, tmp_path: Path):
    for name in ("UPPER.CSV", "lower.csv", "Packed.Csv.GZ", "notes.txt", "b.xlsx", ".hidden.csv"):
        (tmp_path / name).write_text("wines")
    (tmp_path / "half.csv.part").write_text("wines")
    (tmp_path / "folder.csv").mkdir()
    first = tick(suffix=".csv, .csv.gz")
    names = {Path(request.tags[SOURCE_TAG]).name for request in first.run_requests}
    assert names == {"UPPER.CSV", "lower.csv", "Packed.Csv.GZ"}
    message = tick(first.cursor, suffix=".csv, .csv.gz").skip_message
    assert message.startswith(f"Nothing new among 3 file(s) in {tmp_path}. Skipped: ")
    assert ".hidden.csv is hidden" in message
    assert "half.csv.part has a name of what is still written" in message
    assert "folder.csv is a folder" in message
    assert "2 such as " in message and "each does not end in .csv or .csv.gz" in message


def test_a_missing_place_fails_the_tick_with_a_reason(tick, tmp_path: Path):
    with pytest.raises(SourceError, match="is not a folder. Make it"):
        tick(place=str(tmp_path / "gone"))


def test_a_spoilt_cursor_starts_anew(tick, tmp_path: Path):
    (tmp_path / "a.csv").write_text("wines")
    assert len(tick("nonsense").run_requests) == 1


def test_the_environment_sets_every_field(monkeypatch):
    from wine_quality.defs.data.new_file_sensor import WatchedSource

    for name, value in {
        "PLACE": "s3://wines/new",
        "ALPHA": "0.1",
        "MLFLOW_VERSION": "1.26",
        "TRAINING_DATA": "accumulated",
    }.items():
        monkeypatch.setenv(f"WINE_QUALITY_WATCH_{name}", value)
    watch = WatchedSource.from_environment()
    assert (watch.place, watch.alpha, watch.mlflow_version) == ("s3://wines/new", 0.1, "1.26")
    assert watch.training_data.value == "accumulated"
    monkeypatch.setenv("WINE_QUALITY_WATCH_ALPHA", "-1")
    with pytest.raises(ValueError, match="WINE_QUALITY_WATCH_ALPHA is '-1'"):
        WatchedSource.from_environment()
    monkeypatch.setenv("WINE_QUALITY_WATCH_ALPHA", "0")
    monkeypatch.setenv("WINE_QUALITY_WATCH_MLFLOW_VERSION", "9")
    with pytest.raises(ValueError, match='unknown MLflow version "9"'):
        WatchedSource.from_environment()
