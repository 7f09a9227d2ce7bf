"""A ``.wine_quality`` of the commit before the layout is read by the code of today."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.paths import PROJECT_ROOT

pytestmark = pytest.mark.slow

BEFORE_THE_LAYOUT = "f890951"
FILES = ("wine_quality", "deploy/requirements", "dagster.yaml", "workspace.yaml")


def write_older(project: Path) -> None:
    """The older code, from git's history; skips where there is none."""
    packed = subprocess.run(
        ["git", "-C", str(PROJECT_ROOT), "archive", BEFORE_THE_LAYOUT, *FILES],
        capture_output=True,
        timeout=100,
    )
    if packed.returncode != 0:
        pytest.skip(f"git has no commit {BEFORE_THE_LAYOUT} here: {packed.stderr.decode()}")
    with tarfile.open(fileobj=io.BytesIO(packed.stdout)) as archive:
        archive.extractall(project, filter="data")


def write_todays(project: Path) -> None:
    """In its place, as a pull would."""
    shutil.rmtree(project / "wine_quality")
    shutil.rmtree(project / "deploy")
    for name in FILES:
        if (PROJECT_ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__")
            shutil.copytree(PROJECT_ROOT / name, project / name, ignore=ignored)
        else:
            shutil.copy(PROJECT_ROOT / name, project / name)


def run_in(project: Path, *arguments: str) -> str:
    mine = ("WINE_QUALITY_", "DAGSTER_", "MLFLOW_")
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", *arguments],
        cwd=project,
        env={
            **{key: value for key, value in os.environ.items() if not key.startswith(mine)},
            "PYTHONPATH": str(project),
            "DAGSTER_HOME": str(project / ".wine_quality" / "dagster"),
            "WINE_QUALITY_ENVIRONMENTS": str(environments_root().resolve()),
        },
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_part_and_the_whole_go_on_from_an_older_checkouts_home(tmp_path: Path):
    project = tmp_path / "project"
    project.mkdir()
    write_older(project)
    (project / ".wine_quality" / "dagster").mkdir(parents=True)
    (project / ".wine_quality" / "dagster" / "dagster.yaml").symlink_to(project / "dagster.yaml")
    assert "version 1 (RMSE" in run_in(project, "wine_quality", "run")

    write_todays(project)
    part = ("asset", "materialize", "--select", "champion_model")
    log = run_in(project, "dagster", *part, "-m", "wine_quality.definitions")
    assert "version 1 (RMSE 0.793164) is the champion already." in log
    # The same wines and hyperparameters give another version, which is no better.
    shown = run_in(project, "wine_quality", "run")
    assert "ElasticnetWineModel version 2" in shown
    assert "version 1" in shown.partition("\nchampion")[2]
