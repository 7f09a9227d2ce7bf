"""Additions to the project are found by themselves; the files that one touches are counted."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.paths import PROJECT_ROOT

ASSET = '''"""``alcohol_range``."""

from dagster import asset


@asset(group_name="wine_quality")
def alcohol_range(raw_wine_csv) -> list[float]:
    """Lowest and highest."""
    return [float(raw_wine_csv["alcohol"].min()), float(raw_wine_csv["alcohol"].max())]
'''
SENSOR = '''"""``tidy_sensor``."""

from dagster import SkipReason, sensor

from wine_quality.defs.upkeep.retention import wine_quality_retention


@sensor(job=wine_quality_retention)
def tidy_sensor():
    """Never asks for a run."""
    return SkipReason("Nothing to do.")
'''
LISTED = """
import json
from wine_quality.definitions import defs
keys = defs.resolve_asset_graph().get_all_asset_keys()
print(json.dumps([sorted(map(str, (key.to_user_string() for key in keys))),
                  sorted(sensor.name for sensor in defs.sensors)]))
"""


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The project without its tests, to be changed."""
    shutil.copytree(
        PROJECT_ROOT / "wine_quality",
        tmp_path / "wine_quality",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    for name in ("dagster.yaml", "workspace.yaml"):
        shutil.copy(PROJECT_ROOT / name, tmp_path)
    (tmp_path / "deploy").mkdir()
    shutil.copytree(PROJECT_ROOT / "deploy" / "requirements", tmp_path / "deploy" / "requirements")
    return tmp_path


def run_in(copy: Path, *arguments: str) -> str:
    """Output of Python with these arguments, where the copy is the project."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", *arguments],
        cwd=copy,
        env={
            **os.environ,
            "PYTHONPATH": str(copy),
            "WINE_QUALITY_HOME": str(copy / "home"),
            "WINE_QUALITY_ENVIRONMENTS": str(environments_root().resolve()),
        },
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_an_asset_is_one_file_and_a_sensor_is_one_file(copy: Path):
    before = json.loads(run_in(copy, "-c", LISTED))
    (copy / "wine_quality/defs/data/alcohol_range.py").write_text(ASSET)
    (copy / "wine_quality/defs/upkeep/tidy_sensor.py").write_text(SENSOR)
    assets, sensors = json.loads(run_in(copy, "-c", LISTED))
    assert set(assets) - set(before[0]) == {"alcohol_range"} and set(before[0]) <= set(assets)
    assert set(sensors) - set(before[1]) == {"tidy_sensor"} and set(before[1]) <= set(sensors)


@pytest.mark.slow
def test_a_metric_is_two_files(copy: Path):
    """One for wines in memory and one for wines that are streamed."""
    for file, old, new in (
        ("models/evaluate.py", 'METRICS = ("rmse", ', 'METRICS = ("rmse", "mse", '),
        (
            "models/evaluate.py",
            '        "mae": float(',
            '        "mse": float(mean_squared_error(actual, predicted)),\n        "mae": float(',
        ),
        (
            "engines/scoring_pass.py",
            '            "mae": ',
            '            "mse": squared / rows,\n            "mae": ',
        ),
    ):
        path = copy / "wine_quality" / file
        assert path.read_text().count(old) == 1
        path.write_text(path.read_text().replace(old, new))
    for engine in ("in_memory", "duckdb"):
        shown = run_in(copy, "-m", "wine_quality", "run", "--training-engine", engine)
        found = {
            line.split()[0]: float(line.split()[1])
            for line in shown.splitlines()
            if line.split()[:1] in (["rmse"], ["mse"])
        }
        assert found["mse"] == pytest.approx(found["rmse"] ** 2, rel=1e-4), shown
