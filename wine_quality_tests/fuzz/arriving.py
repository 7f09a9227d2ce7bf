"""A watched folder with odd names and times, odd cursors, and the variables that say what is
watched."""

from __future__ import annotations

import functools
import json
import os
import shutil
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import strategies as st

NAMES = st.sampled_from(
    [b"wines.csv", b"WINES.CSV", b"a b.csv", b"a\nb.csv", b"a'b.csv", b'a"b.csv', b"a;b.csv"]
    + [b"\xff.csv", b"\xed\xa0\x80.csv", "é٣🍷.csv".encode(), b"[1].csv", b"*.csv", b"{a}.csv"]
    + [b".hidden.csv", b"x.csv.tmp", b"x.csv~", b".csv", b"-.csv", b"%00.csv", b"a?b#c.csv"]
    + [b"http:x.csv", b"\x7f\x1b[31m.csv", "\u202egpj.csv".encode(), b"x" * 251 + b".csv"]
) | st.binary(min_size=1, max_size=8).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_") + b".csv"
)
KINDS = st.sampled_from(["file", "file", "file", "folder", "dangling", "loop", "fifo", "link"])
TIMES = st.sampled_from([None, None, 0, 1, -(10**9), 4 * 10**9, 2**33, 2**60 // 10**9])
FOLDERS = st.lists(st.tuples(NAMES, KINDS, TIMES), max_size=5)
TIMES_SAID: st.SearchStrategy[Any] = st.sampled_from(
    [0, -1, 1e308, "5", None, True, [], float("nan"), float("inf"), 10**400, 4e9]
)
CURSORS: st.SearchStrategy[Any] = st.sampled_from(
    [None, None, "", "x", "[]", "{}", "null", "\0"]
) | (
    st.builds(
        lambda mark, recent: json.dumps({"mark": mark, "recent": recent}),
        st.lists(TIMES_SAID | st.text(max_size=3), max_size=3) | TIMES_SAID,
        st.dictionaries(st.text(max_size=3), TIMES_SAID, max_size=2) | TIMES_SAID,
    )
    | st.text(max_size=10)
)
TICKS = st.tuples(FOLDERS, CURSORS)


def _make(folder: Path, entries: list[tuple[bytes, str, int | None]]) -> set[bytes]:
    """Put them there; the names of those that are data."""
    data: set[bytes] = set()
    for name, kind, seconds in entries:
        path = os.fsencode(folder) + b"/" + name
        if os.path.lexists(path):
            continue
        if kind == "folder":
            os.mkdir(path)
        elif kind == "dangling":
            os.symlink(b"/nowhere/at/all", path)
        elif kind == "loop":
            os.symlink(path, path)
        elif kind == "fifo":
            os.mkfifo(path)
        elif kind == "link":
            os.symlink(os.fsencode(__file__), path)
        else:
            Path(os.fsdecode(path)).write_text("x")
            if seconds is not None:
                os.utime(path, (seconds, seconds))
        if (
            kind in ("file", "link")
            and not name.startswith(b".")
            and name.lower().endswith(b".csv")
        ):
            data.add(name)
    return data


@functools.lru_cache(1)
def _dagster() -> tuple[Any, Any]:
    from dagster import DagsterInstance

    from wine_quality.definitions import defs

    return DagsterInstance.ephemeral(), defs.get_repository_def()


def check_ticks(example: tuple[Any, str | None], folder: Path) -> str:
    """Each file that can be named is requested, whatever the cursor says and whatever else lies
    there; then one that arrives later is too."""
    from dagster import build_sensor_context, validate_run_config

    from wine_quality.cli.jobs import main_job
    from wine_quality.defs.data.new_file_sensor import WatchedSource, watching_sensor

    entries, cursor = example
    place = folder / "place"
    place.mkdir()
    data = _make(place, entries)
    instance, repository = _dagster()
    watch = WatchedSource(place=str(place), settle_seconds=0)
    sensor = watching_sensor(watch)
    asked: list[str] = []

    def drain(cursor: str | None) -> str | None:
        for _ in range(10):
            context = build_sensor_context(instance, cursor=cursor, repository_def=repository)
            found = sensor.evaluate_tick(context)
            for request in found.run_requests:
                json.dumps(request.run_config).encode()
                for key, value in request.tags.items():
                    assert isinstance(value, str) and value.encode() is not None, (key, value)
                asked.append(request.run_config["ops"]["raw_wine_csv"]["config"]["csv_url"])
            cursor = found.cursor or cursor
            if not found.run_requests:
                (found.skip_message or "").encode()
                return cursor
        raise AssertionError("it asks for the same files again and again")

    cursor = drain(cursor)
    later = place / "arrived-later.csv"
    later.write_text("y")
    cursor = drain(cursor)
    names = [os.path.basename(os.fsencode(path)) for path in asked]
    assert names.count(later.name.encode()) == 1, "what arrives later is not seen"
    expected = {name for name in data if _is_text(name)} | {later.name.encode()}
    # A cursor may say of some that they were handled.
    assert set(names) <= expected, set(names) - expected
    if example[1] is None:
        assert set(names) == expected, expected - set(names)
    assert len(names) == len(set(names)), names
    if asked:
        validate_run_config(main_job(), watch.run_config(watch.training_data, csv_url=asked[0]))
    shutil.rmtree(place)
    return "ticked"


def _is_text(name: bytes) -> bool:
    try:
        name.decode()
    except UnicodeDecodeError:
        return False
    return True


VALUES = st.sampled_from(
    ["", " ", "x", "0", "1", "-1", "0.5", "1.5", "nan", "inf", "-inf", "1e999", "1e308", "9" * 400]
    + ["true", "None", "[]", "{}", "duckdb", "DUCKDB", "in_memory", "newest", "accumulated", "keep"]
    + ["3", "2.1.1", "1.26", "4", "/tmp", "http://[", "http://u:hunter2@[x", "s3://", "s3://b/p"]
    + ["ftp://x", "~nobody_here/x", "file://host/x", ".csv", "*", "", "\udcff", "x" * 5000, "\n"]
) | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
FIELDS = ["PLACE", "SUFFIX", "INTERVAL_SECONDS", "SETTLE_SECONDS", "MAX_RUNS_PER_TICK", "L1_RATIO"]
FIELDS += ["MAX_UNFINISHED_RUNS", "LISTING_SECONDS", "MLFLOW_VERSION", "ALPHA", "TRAINING_DATA"]
FIELDS += ["CONFLICTS", "TRAINING_ENGINE"]
VARIABLES = st.dictionaries(st.sampled_from(FIELDS), VALUES, min_size=1, max_size=3)


def check_variables(variables: dict[str, str], folder: Path) -> str:
    """Refused with the variable's name, or the sensor is made and its runs' config is good."""
    from dagster import validate_run_config

    from wine_quality.cli.jobs import main_job
    from wine_quality.defs.data.new_file_sensor import WatchedSource, watching_sensor
    from wine_quality.defs.schedules import retraining_schedule
    from wine_quality.models.elastic_net.fit import check_hyperparameters

    named = {f"WINE_QUALITY_WATCH_{field}": value for field, value in variables.items()}
    with mock.patch.dict(os.environ, named):
        try:
            watch = WatchedSource.from_environment()
        except ValueError as error:
            message = str(error)
            message.encode()
            assert any(f"{name} is" in message for name in named), message
            elsewhere = any("hunter2" in variables[field] for field in {*variables} - {"PLACE"})
            assert elsewhere or "hunter2" not in message, message
            assert len(message) < 3000, len(message)
            return "refused"
    sensor = watching_sensor(watch)
    assert "hunter2" not in (sensor.description or "")
    retraining_schedule(watch)
    validate_run_config(main_job(), watch.run_config(watch.training_data))
    check_hyperparameters(watch.alpha, watch.l1_ratio)
    return "accepted"
