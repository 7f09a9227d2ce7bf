"""Processes that end with the one that started them, also when it ended first."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.internal import PARENT_PID

MODULES = ["upgrades.probe", "moves.worker", "execution.worker"]


@pytest.mark.parametrize("module", MODULES)
def test_one_whose_parent_ended_before_it_began_does_nothing(module, tmp_path):
    """As the process that upgrades a copy does when `make upgrade` is killed: the next `make
    upgrade` makes the copy again under its hands."""
    store = tmp_path / "mlflow.db"
    gone = subprocess.Popen([sys.executable, "-S", "-c", ""])
    gone.wait()
    command = [sys.executable, "-m", f"wine_quality.{module}", "schema"]
    done = subprocess.run(
        command,
        input=json.dumps({"uri": f"sqlite:///{store}"}),
        env={**os.environ, PARENT_PID: str(gone.pid)},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not store.exists()
