"""The embedded MLflow stores are made by one process at a time, and mended."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import (
    MLFLOW_VERSIONS,
    MlflowVersion,
    environments_root,
)
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.servers.migrations import migrations_of, revision_in
from wine_quality_tests.support.warm_commands import forked_command, run_command, run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(200)]

BEFORE_NEWEST = "75868b020152"  # the schema before the last one of MLflow 3.17
_CLIENT = """
import sys
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.tracking.connection import connect, tracking_settings
version = get_version(sys.argv[1])
tracker = connect(version, tracking_settings(version), print)
tracker.open(None, "one of several", {})
print(tracker.client.get_run(tracker.run_id).info.artifact_uri)
"""

# A store as an earlier release of this MLflow left it: its tables by that release's migrations.
_EARLIER = """
import sys
import sqlalchemy
from alembic import command
from mlflow.store.db.utils import _get_alembic_config
from mlflow.store.tracking.dbmodels.initial_models import Base
uri, revision = sys.argv[1:]
Base.metadata.create_all(sqlalchemy.create_engine(uri))
command.upgrade(_get_alembic_config(uri), revision)
"""


def earlier_store(version: MlflowVersion, database: Path, revision: str) -> None:
    """With one experiment in it."""
    database.parent.mkdir(parents=True)
    arguments = ("-W", "ignore", "-c", _EARLIER, f"sqlite:///{database}", revision)
    done = run_python(version.python, *arguments, env=version.process_variables())
    assert done.returncode == 0, done.stderr
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute(
            "INSERT INTO experiments (experiment_id, name, artifact_location, lifecycle_stage) "
            "VALUES (7, 'of before', 'elsewhere', 'active')"
        )


def experiment_names(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        return {name for (name,) in connection.execute("SELECT name FROM experiments")}


def clients(version: MlflowVersion, home: Path, number: int) -> list[str]:
    """The last line of each of so many processes at once that each make a run."""
    variables = {**version.process_variables(), "WINE_QUALITY_HOME": str(home)}
    variables.pop("MLFLOW_TRACKING_URI", None)
    started = [
        subprocess.Popen(
            forked_command("-W", "ignore", "-c", _CLIENT, version.key, python=version.python),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=PROJECT_ROOT,
            env=variables,
        )
        for _ in range(number)
    ]
    messages = []
    for process in started:
        output, errors = process.communicate(timeout=150)
        assert process.returncode == 0, errors
        messages.append(output.splitlines()[-1])
    return messages


def tables(database: Path) -> set[str]:
    with closing(sqlite3.connect(database)) as connection:
        rows = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")
        return {name for (name,) in rows}


def test_several_at_once_in_an_empty_home(tmp_path, mlflow_version):
    home = tmp_path / "it's 5\" 🍷"  # MLflow 1.26 writes the path into SQL as it is
    folder = home / f"mlflow-{mlflow_version.key}"
    places = clients(mlflow_version, home, 4)
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


UNUSUAL = "x_feature%2Fb c#dü? it's 100% 🍷"
"""As CI calls a workspace, and worse: Alembic, SQLAlchemy and MLflow read it as something else."""


def test_a_home_with_an_unusual_path(tmp_path, mlflow_version):
    folder = tmp_path / UNUSUAL
    variables = {**os.environ, "WINE_QUALITY_HOME": str(folder)}
    for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
        variables.pop(name, None)
    done = run_command("run", "--mlflow", mlflow_version.key, env=variables)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    files = list((folder / f"mlflow-{mlflow_version.key}" / "artifacts").rglob("MLmodel"))
    assert files and (folder / "dagster" / "history" / "runs.db").exists()
    # Nothing of a living run is taken for rubbish.
    swept = run_command("gc", "--days", "0", "--delete", env=variables)
    assert swept.returncode == 0, swept.stderr
    assert "removed         0 files" in swept.stdout
    assert all(file.exists() for file in files)


def test_a_project_with_an_unusual_path(tmp_path):
    project = tmp_path / UNUSUAL
    ignored = shutil.ignore_patterns("__pycache__")
    shutil.copytree(PROJECT_ROOT / "wine_quality", project / "wine_quality", ignore=ignored)
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, project)
    (project / ".venvs").symlink_to(environments_root())
    variables = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("WINE_QUALITY_", "MLFLOW_", "DAGSTER_"))
    }
    # Nor does it matter what the terminal can show.
    variables["PYTHONIOENCODING"] = "ascii"
    done = subprocess.run(
        [str(project / ".venvs" / "mlflow-3" / "bin" / "python"), "-m", "wine_quality", "run"],
        capture_output=True,
        text=True,
        cwd=project,
        env=variables,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (project / ".wine_quality" / "mlflow-3" / "mlflow.db").exists()


def test_a_store_of_an_earlier_release_is_upgraded_once_and_kept(tmp_path):
    version = MLFLOW_VERSIONS["3"]
    database = tmp_path / "mlflow-3" / "mlflow.db"
    earlier_store(version, database, BEFORE_NEWEST)
    places = clients(version, tmp_path, 2)
    assert len(set(places)) == 2
    assert revision_in(database) == migrations_of(version).newest
    assert "of before" in experiment_names(database)
    kept = database.with_name(f"mlflow.db.schema-{BEFORE_NEWEST}")
    assert "of before" in experiment_names(kept) and revision_in(kept) == BEFORE_NEWEST
    assert {*os.listdir(database.parent)} - {"artifacts"} == {
        *(".preparing.lock", "mlflow.db", kept.name),
    }
