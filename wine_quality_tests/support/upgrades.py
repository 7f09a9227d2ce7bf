"""Helpers of the tests of `make upgrade`."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import dying_with_us
from wine_quality_tests.support.warm_commands import run_command

OLD, MIDDLE, NEW = (MLFLOW_VERSIONS[key] for key in ("1.26", "2.1.1", "3"))
NAME = 'O\'Brien "100%" 🍷'


def config_in(folder: Path) -> Path:
    """A file of run config by which experiment and model have a name that needs quoting."""
    file = folder / "config.yaml"
    fields = {"registered_model_name": NAME, "experiment_name": NAME}
    named = json.dumps(fields, ensure_ascii=False)
    file.write_text(f"resources: {{mlflow: {{config: {named}}}}}\n")
    return file


def train(config: Path, key: str, alpha: str, *more: str) -> str:
    done = run_command("run", "--mlflow", key, "--alpha", alpha, "--config", str(config), *more)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def upgrade(*arguments: str, code: int = 0) -> str:
    done = run_command("upgrade", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def query(database: Path, sql: str) -> list[tuple]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(sql).fetchall()


def kill_at(step: str, *options: str) -> None:
    """SIGKILL as soon as the upgrade says that it begins a step."""
    command = [sys.executable, "-m", "wine_quality", "upgrade", "1.26", "3", "--apply"]
    process = subprocess.Popen(
        dying_with_us(*command, *options), stdout=subprocess.PIPE, text=True, cwd=PROJECT_ROOT
    )
    assert process.stdout is not None
    with process.stdout:
        output = next((line for line in process.stdout if line.startswith(step)), None)
        process.send_signal(signal.SIGKILL)
    assert process.wait(60) == -signal.SIGKILL
    assert output is not None, step
