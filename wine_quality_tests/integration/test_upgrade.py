"""`make upgrade` of embedded stores: refused, interrupted, finished, and gone on with."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

import wine_quality.paths
from wine_quality.__main__ import main
from wine_quality.paths import PROJECT_ROOT
from wine_quality.upgrades import embedded
from wine_quality_tests.support.upgrades import (
    MIDDLE,
    NAME,
    OLD,
    config_in,
    kill_at,
    query,
    train,
    upgrade,
)
from wine_quality_tests.support.warm_commands import run_command, run_python

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(400),
    pytest.mark.usefixtures("forked_workers"),
]

THEIRS = "team/wine"  # MLflow 3 refuses such a name
# In the environment of MLflow 1.26: what others made, what was deleted, and a run under way.
OTHERS = """
import sys
from mlflow.tracking import MlflowClient
client = MlflowClient(sys.argv[1])
experiment = client.create_experiment("theirs 100% 🍷", artifact_location="s3://bucket/their's")
for number in range(3):
    run = client.create_run(experiment)
    loss = float("nan") if number else float("inf")
    client.log_metric(run.info.run_id, "loss", loss, step=number)
    client.set_tag(run.info.run_id, "note", "it's 5 % of 🍷")
    if number < 2:
        client.set_terminated(run.info.run_id)
    if number == 1:
        client.delete_run(run.info.run_id)
client.create_registered_model(sys.argv[2])
for number in range(3):
    client.create_model_version(sys.argv[2], "s3://bucket/model", run.info.run_id)
client.transition_model_version_stage(sys.argv[2], "2", "Production")
client.delete_model_version(sys.argv[2], "3")
client.delete_experiment(client.create_experiment("deleted"))
print(run.info.run_id)
"""
# The steps during which it is killed, as it says them.
STEPS = (
    *("copying the database", "asking MLflow 1.26", "upgrading the copy", "copying the files"),
    "asking MLflow 3",
)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return config_in(tmp_path_factory.mktemp("config"))


# SIGKILL between the last rename and its note.
BEFORE_THE_NOTE = """
import os, signal, sys
from wine_quality.__main__ import main
from wine_quality.upgrades import upgrade
note = upgrade.Progress.note
def note_or_die(self, step, **facts):
    if step == upgrade.PLACED:
        os.kill(os.getpid(), signal.SIGKILL)
    note(self, step, **facts)
upgrade.Progress.note = note_or_die
sys.argv[1:] = ["upgrade", "1.26", "2.1.1", "--apply"]
main()
"""


def kill_before_the_last_note() -> None:
    done = subprocess.run([sys.executable, "-c", BEFORE_THE_NOTE], cwd=PROJECT_ROOT)
    assert done.returncode == -signal.SIGKILL


@pytest.fixture(scope="module")
def store(tmp_path_factory, config: Path) -> Iterator[Path]:
    """A home, called as CI calls its own, whose store of MLflow 1.26 has two versions, the second
    one champion."""
    folder = tmp_path_factory.mktemp("upgrade") / "x_feature%2Fb it's"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINE_QUALITY_HOME", str(folder))
        for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_METRICS_URL"):
            patch.delenv(name, raising=False)
        train(config, "1.26", "0.5")
        assert "takes the place of version 1" in train(config, "1.26", "0.01")
        yield wine_quality.paths.home()


@pytest.mark.skipif(not OLD.python.exists(), reason="no Python 3.11 here")
def test_from_1_26_to_3(store: Path, config: Path, monkeypatch):
    home = store
    database, target = home / "mlflow-1.26" / "mlflow.db", home / "mlflow-3" / "mlflow.db"
    others = ("-W", "ignore", "-c", OTHERS, f"sqlite:///{database}", THEIRS)
    done = run_python(OLD.python, *others, env=OLD.process_variables())
    assert done.returncode == 0, done.stderr
    under_way = done.stdout.splitlines()[-1]

    output = upgrade("1.26", "3", code=1)
    assert f"1 run is under way (theirs 100% 🍷: {under_way})" in output
    assert "runs           5 (3 FINISHED, 1 FINISHED, deleted, 1 RUNNING)" in output
    assert "versions       5 (1 Archived, 1 deleted, 1 no stage, 2 Production)" in output
    assert f"{NAME} version 2: stage Production" in output and "(s3) stay as they are" in output
    assert upgrade("1.26", "3", "--apply", code=1).endswith("nothing was changed, see above\n")
    query(database, f"UPDATE runs SET status = 'FINISHED' WHERE run_uuid = '{under_way}'")
    assert "older than 3, and MLflow cannot make a store older" in upgrade("3", "1.26", code=2)
    with closing(sqlite3.connect(database)) as reader:
        reader.execute("SELECT * FROM runs").fetchone()
        assert "mlflow.db is open in process" in upgrade("1.26", "3", "--apply", code=1)
    before = database.read_bytes()
    for step in STEPS:
        kill_at(step)
        assert not target.exists()
    output = upgrade("1.26", "3", "--apply")
    assert "going on with an upgrade that was interrupted" in output
    assert f"{NAME}: champion 2, challenger None" in output
    assert "2 of 4 predict the same as before" in output
    assert f"{THEIRS}: MLflow 3 cannot use it" in output, output
    assert database.read_bytes() == before
    assert "MLflow 3 has a store here that is not empty" in upgrade("1.26", "3", code=1)
    assert "It was done before" in upgrade("1.26", "3", "--apply")
    kept = json.loads((home / "upgrades" / "embedded-1.26-to-3" / "report.json").read_text())
    counted = {name: query(database, f"SELECT count(*) FROM {name}") for name in kept["tables"]}
    assert {name: [(rows,)] for name, rows in kept["tables"].items()} == counted
    places = "SELECT source FROM model_versions WHERE name NOT LIKE 'team%'"
    for (place,) in query(target, places):
        assert (home / "mlflow-3" / "artifacts") in Path(place).parents
        assert Path(place, "MLmodel").exists()

    output = train(config, "3", "0.7")
    assert "version 2 (RMSE 0.677856) stays the champion; version 3 (RMSE 0.829892)" in output
    aliases = query(target, "SELECT alias, version FROM registered_model_aliases ORDER BY alias")
    assert aliases == [("challenger", 3), ("champion", 2)]
    # A pickle is served only where it is allowed, as the report says.
    monkeypatch.setenv("WINE_QUALITY_LOADABLE_FORMATS", "skops,pickle")
    rolled = run_command("rollback", "--mlflow", "3", "--config", str(config))
    assert "champion       version 1 (before: 2)" in rolled.stdout, rolled.stdout + rolled.stderr

    output = upgrade("1.26", "3", "--undo", code=1)
    assert "runs: 5 rows, now 6" in output and "1 run is only there" in output
    output = upgrade("1.26", "3", "--undo", "--with-new-runs")
    assert "MLFLOW=1.26 goes on" in output and not target.exists()
    (aside,) = home.glob("mlflow-3.undone-*")
    assert query(aside / "mlflow.db", "SELECT count(*) FROM runs") == [(6,)]
    assert database.read_bytes() == before
    assert "nothing to undo" in upgrade("1.26", "3", "--undo", code=1)


@pytest.mark.skipif(
    not (OLD.python.exists() and MIDDLE.python.exists()), reason="no Python 3.11 here"
)
def test_step_by_step_by_way_of_2_1_1(store: Path):
    """The second upgrade takes over what the first one made."""
    (store / "mlflow-2.1.1").mkdir()  # an empty store in the way is none
    kill_before_the_last_note()
    assert "It was done before" in upgrade("1.26", "2.1.1", "--apply")
    assert "MLFLOW=1.26 goes on" in upgrade("1.26", "2.1.1", "--undo")
    output = upgrade("1.26", "2.1.1", "--apply")
    assert f"{NAME}: champion 2, challenger None" in output and "pickles" not in output
    if (store / "mlflow-3").exists():
        (store / "mlflow-3").rename(store / "away")
    output = upgrade("2.1.1", "3", "--apply")
    assert "version 2 is the champion by its stage Production: it gets the alias" in output
    assert "2 of 2 predict the same as before" in output or "2 of 4 predict" in output
    newest = query(store / "mlflow-3" / "mlflow.db", "SELECT version_num FROM alembic_version")
    (store / "mlflow-2.1.1").rename(store / "away-too")
    old = store / "mlflow-1.26" / "mlflow.db"
    ((revision,),) = query(old, "SELECT version_num FROM alembic_version")
    query(old, f"UPDATE alembic_version SET version_num = '{newest[0][0]}'")
    assert "which MLflow 2.1.1 does not know: it is newer" in upgrade("1.26", "2.1.1", code=1)
    query(old, f"UPDATE alembic_version SET version_num = '{revision}'")


def resize(disk: Path, size: int) -> None:
    subprocess.run(["mount", "-o", f"remount,size={size}", str(disk)], check=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, that can be made smaller and larger."""
    folder = tmp_path / "disk"
    folder.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(made, capture_output=True).returncode:
        pytest.skip("only root can mount a small disk, and not everywhere")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.skipif(not OLD.python.exists(), reason="no Python 3.11 here")
def test_a_disk_that_is_full_and_has_room_again(store: Path, disk: Path, monkeypatch, capsys):
    shutil.copytree(store / "mlflow-1.26", disk / "mlflow-1.26")
    shutil.copy(store / "signing.key", disk)
    database = disk / "mlflow-1.26" / "mlflow.db"
    before = database.read_bytes()
    monkeypatch.setenv("WINE_QUALITY_HOME", str(disk))
    used = shutil.disk_usage(disk).used

    def upgraded(room: float) -> tuple[int, str]:
        resize(disk, used + int(room * len(before)))
        code = main(["upgrade", "1.26", "3", "--apply"])
        return code, "".join(capsys.readouterr())

    code, output = upgraded(1.5)
    assert code == 1 and "MB free, and about" in output  # it looks before it begins
    # As if another program had taken the room since.
    monkeypatch.setattr(embedded, "_SPARE_BYTES", -(1 << 40))
    code, output = upgraded(1.5)
    assert code == 1 and "No space left on device" in output and "goes on from here" in output
    code, output = upgraded(3)
    assert code == 1 and "database or disk is full" in output and "goes on from here" in output
    assert database.read_bytes() == before and not (disk / "mlflow-3" / "mlflow.db").exists()
    code, output = upgraded(60)
    assert code == 0 and "going on with an upgrade that was interrupted" in output
    assert f"{NAME}: champion 2, challenger None" in output
    assert database.read_bytes() == before
