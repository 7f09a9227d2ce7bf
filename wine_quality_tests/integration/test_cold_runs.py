"""Runs launched without warm processes, each in a new process, for each version."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.launched import (
    AT_LOGGING,
    Tracked,
    assert_success,
    children_of,
    tracked_through_proxy,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module")
def without_warm_processes(tmp_path_factory) -> Iterator[DagsterStack]:
    """Each run in a new process of the code server, which starts another for 1.26 and 2.1.1."""
    stack = DagsterStack(tmp_path_factory.mktemp("cold"), WINE_QUALITY_WARM_MINUTES="0")
    yield stack
    stack.stop()


@pytest.fixture
def tracked(mlflow_version, mlflow_server) -> Iterator[Tracked]:
    with tracked_through_proxy(mlflow_version.key, mlflow_server(mlflow_version)) as tracked:
        yield tracked


def test_a_launcher_without_warm_processes(without_warm_processes, tracked):
    run = without_warm_processes.launch(tracked.config())
    assert_success(without_warm_processes, tracked, run)
    assert without_warm_processes.warm.pids() == {}


@pytest.mark.parametrize("mlflow_version", ["1.26", "2.1.1"], indirect=True)
def test_killed_plan_process_fails_the_step(without_warm_processes, tracked):
    """MLflow 3 runs in the run worker itself."""
    dagster = without_warm_processes
    tracked.proxy.hold(AT_LOGGING)
    run = dagster.launch(tracked.config())
    assert tracked.proxy.held.wait(60), dagster.messages(run)
    [child] = children_of(dagster.worker_pid(run))
    os.kill(child, signal.SIGKILL)
    assert dagster.wait(run) == "FAILURE", dagster.messages(run)
    assert any("was ended by SIGKILL" in line for line in dagster.messages(run))
    assert tracked.statuses == ["FAILED"], "\n".join(dagster.messages(run))
    assert tracked.versions == 0
