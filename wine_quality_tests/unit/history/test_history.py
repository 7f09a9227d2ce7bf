"""The files that were accepted: whole or not at all, in order, and never the wrong version."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from wine_quality.dagster_support.run_tag_names import ARRIVED_TAG
from wine_quality.datasets.accumulate import ConflictPolicy, TrainingData
from wine_quality.defs.data.arrival_tags import arrived_at, tags_of
from wine_quality.history.accepted_files import AcceptedFile, key_of, write_version
from wine_quality.history.wine_history import HistoryError, WineHistory
from wine_quality.paths import PACKAGED_RED_WINE, PROJECT_ROOT
from wine_quality.sources.arrivals import Arrival
from wine_quality.wines.loading import RawWineCsvConfig, WinesRefusedError, load_wines
from wine_quality_tests.unit.datasets.test_accumulate import WHITE_WINE, wines

HEADER, *ROWS = PACKAGED_RED_WINE.read_text().splitlines()


def frame(start: int, end: int, sha256: str = "ab") -> pd.DataFrame:
    part = wines(PACKAGED_RED_WINE)[start:end].reset_index(drop=True)
    part.attrs = {"data_sha256": sha256 * 32}
    return part


def sources(history: WineHistory) -> list[str]:
    return [file.source for file, _ in history.load()]


@pytest.fixture(params=["folder", "bucket"])
def history(request, tmp_path, s3) -> WineHistory:
    """An empty one, on a disk and on S3."""
    if request.param == "folder":
        return WineHistory(base_path=str(tmp_path / "history"))
    return WineHistory(base_path=f"s3://wines/{tmp_path.name}/history")


def test_what_was_accepted_comes_back_oldest_first(history):
    assert history.load() == []
    history.accept("s3://new/b.csv", frame(0, 50), arrived=200.0)
    history.accept("https://user:pw@host/a.csv?sig=1", frame(50, 80, "cd"), arrived=100.000001)
    [(first, rows), (second, _)] = history.load()
    assert (first.source, first.rows, first.sha256) == ("https://host/a.csv?…", 30, "cd" * 32)
    assert first.arrived == "1970-01-01T00:01:40.000001+00:00"
    assert second.key.startswith("b.csv-")
    expected = frame(50, 80)
    expected.attrs = {}
    pd.testing.assert_frame_equal(rows, expected, check_exact=True)
    assert history.all_keys() == sorted([first.key, second.key])
    history.forget(first.key)
    assert sources(history) == ["s3://new/b.csv"]


def test_the_newest_version_of_a_file_counts(history):
    history.accept("/new/a.csv", frame(0, 10, "11"), arrived=10)
    history.accept("/new/a.csv", frame(0, 30, "33"), arrived=30)
    assert history.accept("/new/a.csv", frame(0, 20, "22"), arrived=20) is None
    [(file, _)] = history.load()
    assert (file.rows, file.microseconds) == (30, 30_000_000)
    # Written by a run that did not see the newer one yet.
    with history.store() as (store, root):
        late = AcceptedFile(file.key, "/new/a.csv", "44" * 32, 25_000_000, 25)
        write_version(store, root, late, frame(0, 25))
        assert len(store.find(root)) == 2
    [(file, _)] = history.load()
    assert file.rows == 30
    history.accept("/new/a.csv", frame(0, 40, "55"), arrived=40)
    with history.store() as (store, root):
        assert len(store.find(root)) == 1


def test_the_same_content_keeps_its_place_unless_it_arrives_again(history):
    history.accept("/new/a.csv", frame(0, 10, "11"), arrived=10)
    history.accept("/new/b.csv", frame(10, 20, "22"), arrived=20)
    history.accept("/new/a.csv", frame(0, 10, "11"))
    assert sources(history) == ["/new/a.csv", "/new/b.csv"]
    history.accept("/new/a.csv", frame(0, 10, "11"), arrived=30)
    assert sources(history) == ["/new/b.csv", "/new/a.csv"]
    history.accept("/new/b.csv", frame(10, 30, "33"))  # read now
    assert sources(history) == ["/new/a.csv", "/new/b.csv"]


def test_of_runs_side_by_side_one_sees_both(history):
    """Listings of before say nothing, and who writes first and lists then cannot be missed."""
    together = Barrier(4)

    def run(number: int) -> int:
        mine = WineHistory(base_path=history.base_path)
        assert mine.load() == []  # what a cache might keep
        together.wait(30)
        mine.accept(f"/new/{number}.csv", frame(number, number + 5), arrived=number)
        return len(mine.load())

    with ThreadPoolExecutor(4) as pool:
        assert max(pool.map(run, range(4))) == 4


def test_a_damaged_object_is_named(history):
    file = history.accept("/new/a.csv", frame(0, 400), arrived=10)
    with history.store() as (store, root):
        [path] = store.find(root)
        whole = store.cat_file(path)
        for content in (whole[:-100], b"", whole[:5000] + b"\0\0\0" + whole[5003:]):
            store.pipe_file(path, content)
            with pytest.raises(HistoryError) as error:
                history.load()
            assert path in str(error.value)
            assert f"make forget FILE={file.key}" in str(error.value)
    history.accept("/new/a.csv", frame(0, 400))  # read once more, it is whole again
    assert len(history.load()) == 1


# The kernel ends a process that writes more; Python would ignore the signal.
_HALF_WAY = "signal.signal(signal.SIGXFSZ, signal.SIG_DFL); setrlimit(RLIMIT_FSIZE, (3000, 3000))"
_BEFORE_THE_NAME = "pathlib.Path.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)"


@pytest.mark.parametrize(
    ("fault", "ended_by"),
    [(_HALF_WAY, signal.SIGXFSZ), (_BEFORE_THE_NAME, signal.SIGKILL)],
    ids=["half way", "before it has its name"],
)
def test_a_killed_write_leaves_nothing_that_is_read(tmp_path, fault, ended_by):
    history = WineHistory(base_path=str(tmp_path))
    history.accept("/new/a.csv", frame(0, 10), arrived=10)
    code = f"""
import os, pathlib, signal
from resource import RLIMIT_FSIZE, setrlimit
from wine_quality_tests.unit.history.test_history import WineHistory, frame
rows = frame(0, 400)
{fault}
WineHistory(base_path={str(tmp_path)!r}).accept("/new/a.csv", rows, arrived=20)
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=PROJECT_ROOT,
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT)},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == -ended_by, done.stderr
    [left] = tmp_path.rglob("*.tmp")
    assert left.stat().st_size >= 3000
    [(file, rows)] = history.load()
    assert (file.microseconds, len(rows)) == (10_000_000, 10)


def test_a_place_that_cannot_be_used_is_named(tmp_path, s3):
    (tmp_path / "file").write_text("x")
    for base in (str(tmp_path / "file" / "history"), "s3://nowhere/history", "gopher://host/x"):
        with pytest.raises(HistoryError, match=r"cannot be used: .*base_path") as error:
            WineHistory(base_path=base).accept("/new/a.csv", frame(0, 10))
        assert base in str(error.value)


def test_the_environment_says_where_it_lies(home, monkeypatch):
    assert WineHistory().base == str(home / "history")
    monkeypatch.setenv("WINE_QUALITY_HISTORY", "s3://wines/history")
    assert WineHistory().base == "s3://wines/history"
    assert WineHistory(base_path="/there").base == "/there"


def test_a_key_is_of_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = tmp_path / "new wines.csv"
    assert key_of(str(file)) == key_of(file.as_uri()) == key_of("new wines.csv")
    assert key_of(str(file)).startswith("new_wines.csv-")
    assert key_of("https://a:b@host/w.csv") == key_of("https://host/w.csv")
    assert key_of("https://host/w.csv?n=1") != key_of("https://host/w.csv?n=2")
    assert key_of("s3://one/w.csv") != key_of("s3://two/w.csv")


@settings(max_examples=200, deadline=None, derandomize=True)
@given(st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), max_size=300))
def test_a_key_is_plain_whatever_the_name(name):
    assume("://" not in name)  # refused as an address before there is a key
    key = key_of(f"/new/{name}")
    assert re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9._-]{10,79}", key)
    assert ".." not in key  # Dagster refuses three dots


def loaded(history: WineHistory, *, arrived: float | None = None, **config):
    messages: list[str] = []
    wines = load_wines(RawWineCsvConfig(**config), messages.append, history, arrived)
    return wines, messages


def write(path: Path, rows: list[str]) -> str:
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return str(path)


def test_the_packaged_wines_are_not_kept_there(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    for choice in TrainingData:
        wines, text = loaded(history, training_data=choice)
        assert wines.frame.attrs == {
            "data_sha256": wines.file_sha256,
            "source": "wine_quality/datasets/winequality-red.csv",
            "training_data": "newest",
            "data_files": 1,
        }
        assert len(wines.frame) == 1599
        assert wines.accepted_file is None
    assert text == [
        f"No file is accepted in {history.base} yet: this run trains on "
        "wine_quality/datasets/winequality-red.csv."
    ]
    assert not (tmp_path / "history").exists()


def test_files_accumulate_whatever_the_runs_trained_on(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    first, second = write(tmp_path / "1.csv", ROWS[:800]), write(tmp_path / "2.csv", ROWS[700:])
    with pytest.raises(WinesRefusedError, match="column 'pH': is missing"):
        bad = tmp_path / "bad.csv"
        bad.write_text(PACKAGED_RED_WINE.read_text().replace("pH", "acid"))
        loaded(history, csv_url=str(bad))
    alone, _ = loaded(history, csv_url=first)
    assert alone.frame.attrs["training_data"] == "newest"
    assert alone.accepted_file.source == first
    both, _ = loaded(history, csv_url=second, training_data=TrainingData.accumulated)
    pd.testing.assert_frame_equal(both.frame, wines(PACKAGED_RED_WINE), check_exact=True)
    assert both.frame.attrs == {
        "data_sha256": both.origin.data_sha256,
        "source": history.base,
        "training_data": "accumulated",
        "data_files": 2,
        "conflicts": "newest",
    }
    assert [share.rows for _, share in both.files] == [800, 899]
    assert [share.duplicates for _, share in both.files] == [0, 100]
    assert both.file_sha256 == both.accepted_file.sha256 != both.origin.data_sha256
    again, _ = loaded(history, training_data=TrainingData.accumulated)
    assert (again.origin.data_sha256, again.bytes_read, again.accepted_file) == (
        both.origin.data_sha256,
        0,
        None,
    )
    other, _ = loaded(
        history, training_data=TrainingData.accumulated, conflicts=ConflictPolicy.keep
    )
    assert other.origin.data_sha256 != both.origin.data_sha256
    white, _ = loaded(history, csv_url=str(WHITE_WINE), training_data=TrainingData.accumulated)
    assert white.frame.attrs["data_files"] == 3


def test_files_that_contradict_each_other_in_every_row_are_refused(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    other = [row.rpartition(";")[0] + ";0" for row in ROWS[:5]]
    loaded(history, csv_url=write(tmp_path / "1.csv", ROWS[:5]))
    with pytest.raises(WinesRefusedError, match="each row of the 2 files contradicts"):
        loaded(
            history,
            csv_url=write(tmp_path / "2.csv", other),
            training_data=TrainingData.accumulated,
            conflicts=ConflictPolicy.drop,
        )


def test_a_file_that_arrived_before_its_present_version_changes_nothing(tmp_path):
    history = WineHistory(base_path=str(tmp_path / "history"))
    file = write(tmp_path / "1.csv", ROWS[:20])
    loaded(history, csv_url=file, arrived=20)
    write(tmp_path / "1.csv", ROWS[:10])
    late, text = loaded(history, csv_url=file, arrived=10, training_data=TrainingData.accumulated)
    assert len(late.frame) == 20
    assert text == [f"The history holds a version of {file} that arrived later; that one counts."]


def test_the_tags_of_a_run_say_when_its_file_arrived():
    arrival = Arrival(1_700_000_000.123457, "https://user:pw@host/a.csv", "etag")
    tags = tags_of(arrival)
    assert "pw" not in str(tags)
    assert arrived_at(tags, arrival.url) == arrival.arrived
    assert arrived_at(tags, "https://host/b.csv") is None
    assert arrived_at({**tags, ARRIVED_TAG: "soon"}, arrival.url) is None
    assert arrived_at({}, "https://host/b.csv") is None


def test_forgetting_a_file(home, tmp_path, capsys):
    from dagster import DagsterInstance

    from wine_quality.__main__ import main
    from wine_quality.defs.data.wine_files import PARTITIONS, note_files
    from wine_quality.paths import dagster_home

    names = [write(tmp_path / name, ROWS[:9]) for name in ("1.csv", "2.csv")]
    (tmp_path / "other").mkdir()
    names.append(write(tmp_path / "other" / "1.csv", ROWS[:8]))
    history = WineHistory()
    keys = [loaded(history, csv_url=name)[0].accepted_file.key for name in names]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(dagster_home()))
        with DagsterInstance.get() as instance:
            note_files(instance, keys)
            assert main(["forget"]) == 0
            output = capsys.readouterr().out
            assert all(f"{key}  20" in output for key in keys)
            assert f"9 rows  {names[0]}" in output
            assert main(["forget", "1.csv"]) == 2
            assert "'1.csv' is the name of 1.csv-" in capsys.readouterr().err
            assert main(["forget", "3.csv"]) == 2
            assert "there is no '3.csv'" in capsys.readouterr().err
            assert main(["forget", "2.csv"]) == main(["forget", keys[0]]) == 0
            assert main(["forget", names[2]]) == 0
            assert history.all_keys() == []
            assert instance.get_dynamic_partitions(PARTITIONS) == []
