"""The embedded MLflow stores are made by one process at a time, and mended."""

from __future__ import annotations

import os
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

_CLIENT = """
import sys
from wine_quality.environments.versions import get_version
from wine_quality.tracking.connection import connect, tracking_settings
version = get_version(sys.argv[1])
tracker = connect(version, tracking_settings(version), print)
tracker.open(None, "one of several", {})
print(tracker.client.get_run(tracker.run_id).info.artifact_uri)
"""


def clients(version: MlflowVersion, home: Path, number: int) -> list[str]:
    """What so many at once, each of which makes a run, say at last."""
    variables = {**version.process_variables(), "WINE_QUALITY_HOME": str(home)}
    variables.pop("MLFLOW_TRACKING_URI", None)
    started = [
        subprocess.Popen(
            [str(version.python), "-W", "ignore", "-c", _CLIENT, version.key],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
            env=variables,
        )
        for _ in range(number)
    ]
    said = []
    for process in started:
        output, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
        said.append(output.splitlines()[-1])
    return said


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def test_several_at_once_in_an_empty_home(tmp_path, mlflow_version):
    folder = tmp_path / f"mlflow-{mlflow_version.key}"
    places = clients(mlflow_version, tmp_path, 4)
    assert len(set(places)) == 4
    assert all(place.startswith(str(folder / "artifacts")) for place in places)
    assert not [name for name in tables(folder / "mlflow.db") if name.startswith("_alembic")]
    assert {*os.listdir(folder)} - {"artifacts"} == {".preparing.lock", "mlflow.db"}


def test_a_store_that_an_older_commit_has_spoilt_is_mended(tmp_path, mlflow_version):
    database = tmp_path / f"mlflow-{mlflow_version.key}" / "mlflow.db"
    clients(mlflow_version, tmp_path, 1)
    before = tables(database)
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE _alembic_tmp_metrics AS SELECT * FROM metrics")
        # The only copy of what it was of: it stays.
        connection.execute("CREATE TABLE _alembic_tmp_gone AS SELECT * FROM runs")
    clients(mlflow_version, tmp_path, 2)
    assert tables(database) == before | {"_alembic_tmp_gone"}
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT count(*) FROM runs").fetchone() == (3,)
        assert connection.execute("SELECT count(*) FROM _alembic_tmp_gone").fetchone() == (1,)


def test_one_that_was_killed_leaves_nothing_in_the_way(tmp_path, mlflow_version):
    folder = tmp_path / f"mlflow-{mlflow_version.key}"
    folder.mkdir()
    (folder / "mlflow.db").touch()
    (folder / "mlflow.new").write_bytes(b"half a database")
    (folder / "mlflow.new-journal").write_bytes(b"half a journal")
    clients(mlflow_version, tmp_path, 1)
    assert {*os.listdir(folder)} - {"artifacts"} == {".preparing.lock", "mlflow.db"}
