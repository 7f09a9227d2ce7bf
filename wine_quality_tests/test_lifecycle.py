"""The MLflow run ends as its Dagster run does, also when processes are ended from outside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from wine_quality.environments.versions import PROJECT_ROOT

pytestmark = pytest.mark.slow


def await_condition(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(0.05)


def start_run(key: str, log: Path) -> subprocess.Popen[bytes]:
    """A run that has reached its training step."""
    process = subprocess.Popen(
        [sys.executable, "-m", "wine_quality", "run", "--mlflow", key],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=PROJECT_ROOT,
    )
    await_condition(
        lambda: "elasticnet_model - STEP_START" in log.read_text() or process.poll() is not None,
        "the training step",
    )
    assert process.poll() is None, log.read_text()
    return process


def child_of(process: subprocess.Popen[bytes]) -> int:
    listed = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text()
    [child] = listed.split()
    return int(child)


def mlflow_statuses(home: Path, key: str) -> list[str]:
    with sqlite3.connect(home / f"mlflow-{key}" / "mlflow.db") as store:
        return [row[0] for row in store.execute("select status from runs")]


def registered_versions(home: Path, key: str) -> int:
    with sqlite3.connect(home / f"mlflow-{key}" / "mlflow.db") as store:
        return store.execute("select count(*) from model_versions").fetchone()[0]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_killed_plan_process_fails_step_run_and_mlflow_run(home, mlflow_version, tmp_path):
    if mlflow_version.key == "3":
        pytest.skip("MLflow 3 runs in the run worker itself")
    log = tmp_path / "run.log"
    process = start_run(mlflow_version.key, log)
    os.kill(child_of(process), signal.SIGKILL)
    assert process.wait(timeout=90) == 1
    assert "was ended by SIGKILL" in log.read_text()
    assert "elasticnet_model - STEP_FAILURE" in log.read_text()
    assert mlflow_statuses(home, mlflow_version.key) == ["FAILED"]
    assert registered_versions(home, mlflow_version.key) == 0


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_cancelled_run_ends_killed(home, mlflow_version, tmp_path, monkeypatch):
    from dagster import DagsterInstance, DagsterRunStatus

    log = tmp_path / "run.log"
    process = start_run(mlflow_version.key, log)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with DagsterInstance.get() as instance:
        [run] = instance.get_runs()
        # What the run launcher does when the UI's Terminate is pressed.
        instance.report_run_canceling(run)
        process.send_signal(signal.SIGINT)
        process.wait(timeout=90)
        stored = instance.get_run_by_id(run.run_id)
        assert stored is not None
        assert stored.status == DagsterRunStatus.CANCELED, log.read_text()
    assert mlflow_statuses(home, mlflow_version.key) == ["KILLED"]
    assert registered_versions(home, mlflow_version.key) == 0
