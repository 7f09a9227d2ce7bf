"""`make renew` of Dagster and MLflow, killed.

``WINE_QUALITY_OLD_DAGSTER=…/bin/python`` names an environment with an older Dagster, which writes
the data; else this one does.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.upgrades.stack_databases import StackDatabases
from wine_quality.upkeep import data_services
from wine_quality.upkeep.restore import verify
from wine_quality.upkeep.unfinished import instance_variables
from wine_quality_tests.support.renewals import renew, renewed_home, stop_at
from wine_quality_tests.support.upgrades import NEW, OLD, config_in, train

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OLD_DAGSTER = os.environ.get("WINE_QUALITY_OLD_DAGSTER", sys.executable)
# Written by the older Dagster, read by this one.
RUNS = """
from dagster import DagsterInstance, asset, materialize
@asset
def wine(): return 1
with DagsterInstance.get() as instance:
    for number in range(3):
        materialize([wine], instance=instance, tags={"number": str(number)})
"""
LIST = """
from dagster import AssetKey, DagsterInstance
with DagsterInstance.get() as instance:
    print(sorted(run.tags["number"] for run in instance.get_runs()))
    print(instance.get_latest_materialization_event(AssetKey("wine")) is not None)
"""


@pytest.fixture
def home(monkeypatch) -> Iterator[Path]:
    with renewed_home(monkeypatch) as folder:
        yield folder


def in_dagster(folder: Path, python: str, program: str) -> str:
    """Run a program on the stack's instance with some Dagster."""
    with data_services.stopped(print) as services:
        variables = instance_variables(services, folder)
        own = (services.folder / "dagster" / "dagster.yaml").read_text()
        (folder / "dagster.yaml").write_text(own.partition("compute_logs:")[0])
        done = subprocess.run(
            [python, "-W", "ignore", "-c", program],
            env={**os.environ, **variables},
            capture_output=True,
            text=True,
            timeout=120,
        )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def of_dagster(query: str) -> list:
    with data_services.stopped(print) as services:
        name = services.settings["DAGSTER_POSTGRES_DB"]
        with (
            closing(services.connect(name)) as connection,
            connection,
            connection.cursor() as found,
        ):
            found.execute(query)
            return found.fetchall() if found.description else []


def test_another_dagster(home: Path, tmp_path: Path):
    assert "Dagster has no tables here" in renew("dagster", tmp_path / "none", code=1)
    in_dagster(tmp_path, OLD_DAGSTER, RUNS)
    rows = "SELECT count(*) FROM event_logs"
    before = of_dagster(rows)
    # Of a Dagster that this one does not know.
    ((revision,),) = of_dagster("SELECT version_num FROM alembic_version")
    of_dagster("UPDATE alembic_version SET version_num = 'ffffffffffff'")
    output = renew("dagster", tmp_path / "newer", code=1)
    assert "could not migrate its database; nothing was changed" in output
    assert of_dagster("SELECT version_num FROM alembic_version") == [("ffffffffffff",)]
    of_dagster(f"UPDATE alembic_version SET version_num = '{revision}'")
    for number, line in ((signal.SIGKILL, "instance migrate"), (signal.SIGINT, "dagster is")):
        stop_at(line, number, "dagster", tmp_path / number.name)
        assert of_dagster(rows) == before
    assert "the same in both" in renew("dagster", tmp_path / "backup")
    assert in_dagster(tmp_path, sys.executable, LIST) == "['0', '1', '2']\nTrue\n"
    names = "SELECT datname FROM pg_database WHERE datname LIKE '%\\_\\_%'"
    assert of_dagster(names) == []


@pytest.mark.skipif(
    os.environ.get("WINE_QUALITY_UPGRADE_TEST") != "all" or not OLD.python.exists(),
    reason="it takes a minute of CPU: WINE_QUALITY_UPGRADE_TEST=all, and Python 3.11",
)
def test_another_mlflow(home: Path, tmp_path: Path):
    given = ("--with", "1.26 3")
    assert "there is no stack" in renew("mlflow", tmp_path / "none", *given, code=1)
    with data_services.stopped(print) as services:
        place = StackDatabases(OLD, NEW, home / "work", services, is_up=False)
        with place.source_uri() as uri:
            train(config_in(tmp_path), "1.26", "0.1", "--tracking-uri", uri)
    assert "older than 3" in renew("mlflow", tmp_path / "no", "--with", "3 1.26", code=2)
    assert not (tmp_path / "no").exists()
    stop_at("upgrading the copy", signal.SIGKILL, "mlflow", tmp_path / "killed", *given)
    assert verify(tmp_path / "killed")
    output = renew("mlflow", tmp_path / "backup", *given)
    assert "going on with an upgrade that was interrupted" in output
    assert "1 of 1 predict the same as before" in output and "To undo the upgrade" in output
    assert verify(tmp_path / "backup")
