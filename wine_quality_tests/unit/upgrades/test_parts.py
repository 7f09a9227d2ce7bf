"""The parts of an upgrade that need no MLflow: locations, sums, copies, progress, who reads."""

from __future__ import annotations

import resource
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tracking.servers.openers import opened_by
from wine_quality.upgrades.census import sum_tables
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.files import Extent, copy_files
from wine_quality.upgrades.locations import LOCATIONS, Move, elsewhere, rewrite
from wine_quality.upgrades.plan import require_newer
from wine_quality.upgrades.progress import Progress, appending, only_one
from wine_quality.upgrades.verify import DIFFERS, NOT_COMPARED, SAME, compare_predictions
from wine_quality_tests.support.servers import dying_with_us

OLD = "/it's/100%/mlflow-1.26/artifacts"
NEW = "/it's/100%/mlflow-3/artifacts"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (OLD, NEW),
        (f"{OLD}/0/🍷/artifacts", f"{NEW}/0/🍷/artifacts"),
        (f"{OLD}-of-others/0", f"{OLD}-of-others/0"),
        ("s3://bucket/it's", "s3://bucket/it's"),
        (
            "file:///it%27s/100%25/mlflow-1.26/artifacts/1",
            "file:///it%27s/100%25/mlflow-3/artifacts/1",
        ),
        ("runs:/1234/model", "runs:/1234/model"),
        ("./mlruns/0", "./mlruns/0"),
    ],
)
def test_locations_of_the_folder_that_moves_are_rewritten(before, after):
    move = Move((Path(OLD),), Path(NEW))
    assert move.changed(before) == after
    with closing(sqlite3.connect(":memory:")) as database:
        for table, columns in LOCATIONS.items():
            database.execute(f"CREATE TABLE {table} ({', '.join(columns)})")
            database.execute(f"INSERT INTO {table} ({columns[0]}) VALUES (?)", (before,))
        rewrite(database, move)
        for table, columns in LOCATIONS.items():
            found = database.execute(f"SELECT {columns[0]} FROM {table}").fetchall()
            assert found == [(after,)]


def test_locations_elsewhere_are_counted_by_where_they_are():
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE runs (artifact_uri)")
        places = (f"{OLD}/1", "s3://b/1", "s3://b/2", "mlflow-artifacts:/1", "/other/1", "mlruns/0")
        database.executemany("INSERT INTO runs VALUES (?)", [(place,) for place in places])
        found = elsewhere(database, Move((Path(OLD),), Path(NEW)))
    assert found == {"s3": 2, "mlflow-artifacts": 1, "folder": 1, "relative path": 1}


def sums(*rows: tuple) -> dict:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("CREATE TABLE metrics (key, value, step)")
        database.executemany("INSERT INTO metrics VALUES (?, ?, ?)", rows)
        wanted = {"metrics": {"key", "value", "step"}}
        return sum_tables(database, wanted, lambda table, column, value: value)


def test_a_sum_sees_each_cell_and_no_order():
    one, other = ("rmse", 0.5, 1), ("it's 🍷", None, 2)
    assert sums(one, other) == sums(other, one) == sums(("rmse", 0.5, 1.0), other)
    for changed in (("rmse", 0.5000001, 1), ("RMSE", 0.5, 1), ("rmse", 0.5, 2), ("rmse", "0.5", 1)):
        assert sums(changed, other) != sums(one, other)
    assert sums(one, one, other) != sums(one, other)


def test_files_are_copied_once_and_never_over_another(tmp_path):
    source, target = tmp_path / "it's", tmp_path / "100% 🍷"
    (source / "a" / "empty folder").mkdir(parents=True)
    (source / "a" / "model.skops").write_bytes(b"7" * (3 << 20))
    (source / "link").symlink_to("a/model.skops")
    assert copy_files(source, target, print) == Extent(2, 3 << 20)
    assert copy_files(source, target, print) == Extent(2, 3 << 20)
    assert (target / "link").read_bytes() == (source / "a" / "model.skops").read_bytes()
    (target / "a" / "model.skops").write_bytes(b"8" * (3 << 20))
    with pytest.raises(UpgradeError, match="is another file than"):
        copy_files(source, target, print)


def test_a_disk_that_fills_is_one_sentence_and_the_copy_goes_on_later(tmp_path):
    """The limit of a file's size stands for it: the system refuses to write, as on a full disk."""
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    (source / "large").write_bytes(b"7" * (2 << 20))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, before[1]))
    try:
        with pytest.raises(UpgradeError, match="cannot be copied to .* goes on from there"):
            copy_files(source, target, print)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert not (target / "large").exists()
    copy_files(source, target, print)
    assert [path.name for path in target.iterdir()] == ["large"]


def test_progress_is_of_one_source_as_it_was(tmp_path):
    progress = Progress(tmp_path / "work", "one")
    progress.note("staged", rows={"runs": 2})
    (tmp_path / "work" / "source.db").touch()
    again = Progress(tmp_path / "work", "one")
    assert again.is_resumed and again.is_done("staged") and again.fact("rows") == {"runs": 2}
    changed = Progress(tmp_path / "work", "another")
    assert not changed.is_resumed and not changed.is_done("staged")
    assert [path.name for path in (tmp_path / "work").iterdir()] == ["progress.json"]


def test_one_upgrade_at_a_time(tmp_path):
    refused = pytest.raises(UpgradeError, match="another `make upgrade`")
    with only_one(tmp_path, "make upgrade"), refused, only_one(tmp_path, "make upgrade"):
        pass
    with only_one(tmp_path, "make upgrade"):
        pass


def test_whoever_has_a_file_open_is_named(tmp_path):
    file = tmp_path / "it's.db"
    file.touch()
    assert opened_by(file) == [] == opened_by(tmp_path / "none")
    code = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    command = dying_with_us(sys.executable, "-c", code, str(file))
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe) as reader:
        assert reader.stdout is not None
        reader.stdout.readline()
        (text,) = opened_by(file)
        assert text.startswith(f"process {reader.pid} (") and "import sys" in text
        reader.communicate()
    assert opened_by(file) == []


def test_no_version_is_upgraded_to_itself_or_to_an_older_one():
    old, new = MLFLOW_VERSIONS["1.26"], MLFLOW_VERSIONS["3"]
    require_newer(old, new)
    for source, target in ((new, old), (new, new), (MLFLOW_VERSIONS["2.1.1"], old)):
        with pytest.raises(UpgradeError):
            require_newer(source, target)


def answer(result: str = "loaded", *predictions: float) -> dict:
    return {"model": "m", "version": "1", "result": result, "reason": "why"} | {
        "predictions": list(predictions)
    }


def test_predictions_are_compared_up_to_rounding():
    before = answer("loaded", 5.5, 6.25)
    assert compare_predictions(before, answer("loaded", 5.5, 6.25 + 1e-12)).result == SAME
    assert compare_predictions(before, answer("loaded", 5.5, 6.26)).result == DIFFERS
    assert compare_predictions(before, answer("loaded", 5.5)).result == DIFFERS
    assert compare_predictions(before, answer("not loadable")).result == "not loadable"
    assert compare_predictions(answer("not read"), before).result == NOT_COMPARED


def test_an_answer_that_was_cut_off_spoils_no_other(tmp_path):
    kept = tmp_path / "before.jsonl"
    kept.write_text('{"model": "m", "version": "1"}\n{"model": "m", "ver')
    with appending(kept) as file:
        file.write('{"model": "m", "version": "2"}\n')
    assert kept.read_text().splitlines() == [
        '{"model": "m", "version": "1"}',
        '{"model": "m", "ver',
        '{"model": "m", "version": "2"}',
    ]
