"""Shared by the tests of `make renew`."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import renewed
from wine_quality.upkeep import data_services
from wine_quality_tests.support.servers import (
    await_condition,
    dying_with_us,
    free_port,
    processes_of,
)

OLD_SERVERS = sorted(Path("/usr/lib/postgresql").glob("1[4-7]/bin/postgres"))


@contextmanager
def renewed_home(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Not under pytest's folder, which is closed to the user that PostgreSQL runs as."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="wine-quality-renew-"))
    folder.chmod(0o755)
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    monkeypatch.setenv("WINE_QUALITY_STORE", "nanio")
    for name in ("POSTGRES", "MINIO", "MINIO_CONSOLE", "DAGSTER", "MLFLOW_3"):
        monkeypatch.setenv(f"{name}_PORT", str(free_port()))  # other tests have stacks too
    yield folder
    await_condition(lambda: not processes_of(folder), "the stack's processes to end")
    shutil.rmtree(folder)


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "wine_quality", "renew", *map(str, arguments)]


def renew(*arguments: object, code: int = 0) -> str:
    done = subprocess.run(
        command(*arguments), capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=200
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def renew_here(monkeypatch: pytest.MonkeyPatch, what: str, folder: Path, given: str = "") -> str:
    """In this process, to see that no stack can start while the new data takes its place."""
    module = import_module(f"wine_quality.upkeep.renew_{what}")
    kept_down: list[bool] = []
    messages: list[str] = []

    def watched(place: Path, of: str) -> Path:
        kept_down.append(data_services.is_up())
        return renewed.put_in_place(place, of)

    with monkeypatch.context() as patch:
        patch.setattr(renewed, "ignore_interrupts", lambda: None)
        patch.setattr(module, "put_in_place", watched)
        getattr(module, f"renew_{what}")(folder, given, messages.append)
    assert kept_down == [True]
    return "\n".join(messages)


def stop_at(line: str, number: signal.Signals, *arguments: object) -> str:
    """Send a signal as soon as the renewal prints that line; what it wrote to stderr."""
    process = subprocess.Popen(
        dying_with_us(*command(*arguments)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=PROJECT_ROOT,
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        found = next((one for one in process.stdout if one.startswith(line)), None)
        process.send_signal(number)
        rest = process.stderr.read()
    process.wait(60)
    assert found is not None, rest
    return rest
