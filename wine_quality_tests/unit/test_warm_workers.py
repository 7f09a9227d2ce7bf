"""Forked workers end, and are ended, as processes of their own would be."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.plan_process import PlanProcess
from wine_quality_tests.support import warm_workers
from wine_quality_tests.support.servers import await_condition

VERSION = MLFLOW_VERSIONS["3"]


@pytest.fixture
def process(forked_workers) -> Iterator[PlanProcess]:
    """One that waits for its plan."""
    started = PlanProcess(VERSION)
    await_condition(lambda: bool(forks(started)), "the fork", 60)
    yield started
    started.discard()


def forks(process: PlanProcess) -> list[int]:
    """The forked workers of this process: they have its end of the pipe of events, too."""
    pipe = os.readlink(f"/proc/self/fd/{process._events}")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            opened = {os.readlink(link) for link in (entry / "fd").iterdir()}
        except OSError:
            continue
        if pipe in opened and int(entry.name) not in (os.getpid(), process.pid):
            found.append(int(entry.name))
    return found


def ended(process: PlanProcess) -> str:
    await_condition(process.has_ended, "its end", 30)
    return process.describe_exit()


def test_it_ends_as_its_fork(process):
    process.send("")
    assert ended(process) == "exited with code 0"
    assert list(process.lines()) == []


def test_its_fork_is_killed(process):
    [fork] = forks(process)
    os.kill(fork, signal.SIGKILL)
    assert ended(process).startswith("was ended by SIGKILL")


def test_its_fork_is_interrupted_with_it(process):
    process.interrupt()
    # As any process: by the signal during its imports, with a code of its own after them.
    assert ended(process) in ("was ended by SIGINT", "exited with code 130")


def test_its_fork_ends_with_it(process):
    [fork] = forks(process)
    os.kill(process.pid, signal.SIGKILL)
    assert ended(process).startswith("was ended by SIGKILL")
    await_condition(lambda: fork not in forks(process), "the end of the fork", 10)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-m", "one", "two"], [False, "one", "two"]),
        (["-W", "ignore", "-m", "one"], [True, "one"]),
        (["-c", "one"], []),
        (["-m"], []),
    ],
)
def test_split_finds_the_module(arguments, found):
    assert warm_workers.split(arguments) == found
