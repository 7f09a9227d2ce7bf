"""A version that is not built is built by the first run that picks it; quietly, one at a time.

uv is a stand-in here, which is quick and fails or hangs when it is asked to. That uv really builds
an environment on first use is tested in a browser (``ui/test_first_use.py``).
"""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from wine_quality.dagster_support.dagster_private import (
    DagsterExecutionInterruptedError,
    capture_interrupts,
)
from wine_quality.environments import build
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    MlflowVersion,
    get_version,
)
from wine_quality.environments.process_groups import group_lives
from wine_quality.execution.first_use import require_environment
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition

UV = """#!/bin/sh
case "$*" in
--version) ;;
venv*) for folder; do :; done
  mkdir -p "$folder/bin" "$folder/lib/python3.11/site-packages"
  ln -sf "$(command -v python3)" "$folder/bin/python" ;;
"pip sync"*) echo "Resolved 142 packages in 1s" >&2
  %s
  for n in 1 2 3; do echo " + package-$n==1.0" >&2; done ;;
esac
"""


@pytest.fixture
def root(tmp_path, monkeypatch) -> Path:
    """Where environments are built, by a uv that does as ``how`` says."""
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(tmp_path / "environments"))
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.delenv(build.BUILD_ON_FIRST_USE, raising=False)
    uv_that(tmp_path, "true")
    return tmp_path / "environments"


def uv_that(folder: Path, how: str) -> None:
    (folder / "uv").write_text(UV % how)
    (folder / "uv").chmod(0o755)


@pytest.fixture
def version() -> MlflowVersion:
    return get_version("2.1.1")


@pytest.fixture
def run() -> Iterator[tuple[DagsterInstance, str, list[str]]]:
    """A Dagster instance, a run's id and what is said in the run's log."""
    with DagsterInstance.ephemeral() as instance:
        yield instance, "a-run", []


def require(version: MlflowVersion, run: tuple[DagsterInstance, str, list[str]]) -> None:
    instance, run_id, text = run
    log = logging.getLogger("test_first_use")
    log.setLevel(logging.INFO)
    log.handlers = [handler := logging.Handler()]
    handler.emit = lambda record: text.append(record.getMessage())  # type: ignore[method-assign]
    require_environment(version, log, instance, run_id)  # type: ignore[arg-type]


def test_it_is_built_and_the_log_tells_of_it(root, version, run):
    require(version, run)
    assert build.is_complete(version)
    text = run[2]
    assert all("MLflow 2.1.1" in line for line in text)
    assert text[-1] == "The environment of MLflow 2.1.1 is ready."
    text.clear()
    require(version, run)
    assert text == []


def test_a_setting_turns_it_off(root, version, run, monkeypatch):
    monkeypatch.setenv(build.BUILD_ON_FIRST_USE, "0")
    with pytest.raises(EnvironmentMissingError, match=r"make env MLFLOW=2\.1\.1"):
        require(version, run)
    assert not root.exists()


def test_images_turn_it_off():
    assert (
        f"{build.BUILD_ON_FIRST_USE}=0"
        in (PROJECT_ROOT / "deploy" / "images" / "dagster.Dockerfile").read_text()
    )


def test_a_failed_build_is_one_sentence_and_names_its_log(root, version, run, tmp_path):
    uv_that(tmp_path, 'printf "error: Failed to fetch: x\\n  cause: refused\\n" >&2; exit 2')
    with pytest.raises(EnvironmentMissingError) as raised:
        require(version, run)
    log = root / "build-mlflow-2.1.1.log"
    assert str(raised.value) == (
        "MLflow 2.1.1 was picked, but: The environment of MLflow 2.1.1 could not be built: "
        f"Failed to fetch: x: refused. The whole output is in {log}."
    )
    assert "Resolved 142 packages" in log.read_text()
    uv_that(tmp_path, "true")
    require(version, run)  # tried again, though its Python is there
    assert build.is_complete(version)


def test_a_second_run_waits_and_says_so(root, version, run):
    root.mkdir()
    with (root / ".build.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        waiting = threading.Thread(target=require, args=(version, run))
        waiting.start()
        await_condition(lambda: any("waiting for another build" in s for s in run[2]), "it to wait")
        assert not build.is_complete(version)
    waiting.join(60)
    assert build.is_complete(version)


@pytest.mark.parametrize("busy", [False, True], ids=["building", "waiting"])
def test_a_cancelled_run_ends_what_it_began(root, version, run, tmp_path, busy):
    pid = tmp_path / "pid"
    # A child that outlives its leader's end, as one may by chance.
    uv_that(tmp_path, f"(trap '' TERM; sleep 300) & echo $$ > {pid}; sleep 300")
    root.mkdir()
    with contextlib.ExitStack() as stack:
        if busy:
            other = stack.enter_context((root / ".build.lock").open("w"))
            fcntl.flock(other, fcntl.LOCK_EX)

        def interrupt() -> None:
            await_condition(lambda: bool(run[2]) and (busy or pid.exists()), "it to begin")
            os.kill(os.getpid(), signal.SIGINT)

        stack.enter_context(capture_interrupts())
        threading.Thread(target=interrupt).start()
        with pytest.raises(DagsterExecutionInterruptedError):
            require(version, run)
    assert not build.is_complete(version)
    if not busy:
        assert not group_lives(int(pid.read_text()))


def test_the_terminal_gets_a_line_and_the_log_the_rest(root, tmp_path):
    uv_that(tmp_path, 'for n in $(seq 142); do echo " + package-$n==1.0" >&2; done')
    command = [sys.executable, "-m", "wine_quality.environments", "build", "2.1.1"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=100)
    first, last = done.stdout.splitlines()
    assert first == "Building the environment of MLflow 2.1.1 …"
    assert last.startswith("The environment of MLflow 2.1.1 is ready (")
    assert done.stderr == ""
    assert (root / "build-mlflow-2.1.1.log").read_text().count(" + package-") == 145
    again = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT_ROOT, timeout=100)
    assert again.stdout == ""


def test_a_serving_environment_is_built_by_the_same(root, tmp_path):
    from wine_quality.packaging.served_model import UnservableModelError
    from wine_quality.serving.environment import environment_name, serving_python

    messages: list[str] = []
    requirements = "mlserver==1.0 --hash=sha256:00\n"
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert serving_python(requirements, python, messages.append).exists()
    assert len(messages) == 2
    name = environment_name(requirements, python)
    assert (root / name / "requirements.txt").read_text() == requirements
    uv_that(tmp_path, "echo 'error: no route' >&2; exit 1")
    with pytest.raises(
        UnservableModelError, match=r"could not be built: no route\. The whole output"
    ):
        serving_python("other==1.0\n", python, messages.append)
