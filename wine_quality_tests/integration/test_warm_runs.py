"""Runs forked from warm processes, through a real webserver and daemon, on the embedded stores."""

from __future__ import annotations

import os
import resource
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance

from wine_quality.dagster_support.run_tag_names import MLFLOW_STATE_TAG
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.worker_process import WorkerProcess
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition, opened_by

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RMSE = 0.7931640229276851
VERSION = MLFLOW_VERSIONS["3"]
AT_LOGGING = r"/runs/log-(metric|batch)"
IN_PROCESS = "Executing steps in process"


@pytest.fixture(scope="module")
def dagster(tmp_path_factory) -> Iterator[DagsterStack]:
    stack = DagsterStack(tmp_path_factory.mktemp("warm"))
    yield stack
    stack.stop()


@pytest.fixture
def held(mlflow_server) -> Iterator[FaultProxy]:
    """The MLflow server behind a proxy that holds a run up when it logs its metrics."""
    proxy = FaultProxy(mlflow_server(VERSION).uri)
    proxy.hold(AT_LOGGING)
    yield proxy
    proxy.stop()


def config(key: str = "3", **more: Any) -> dict[str, Any]:
    return {"resources": {"mlflow": {"config": {"version": key, **more}}}}


def launch_held(dagster: DagsterStack, held: FaultProxy) -> tuple[str, WorkerProcess]:
    """A run in the middle of its work, and its process."""
    run = dagster.launch(config(tracking_uri=held.uri, experiment_name="held"))
    assert held.held.wait(60), dagster.messages(run)
    worker = worker_of(dagster, run)
    assert worker is not None
    return run, worker


def worker_of(dagster: DagsterStack, run_id: str) -> WorkerProcess | None:
    """The forked process that runs it, as its tags say."""
    with DagsterInstance.from_config(str(dagster.dagster_home)) as instance:
        run = instance.get_run_by_id(run_id)
        assert run is not None
        return WorkerProcess.of_run(run_id, run.tags)


def figures(dagster: DagsterStack, run_id: str) -> dict[str, float]:
    """The numbers in the metadata of what a run materialized."""
    query = """query L($run: ID!) { logsForRun(runId: $run) { ... on EventConnection { events {
        ... on MaterializationEvent { metadataEntries { label
            ... on FloatMetadataEntry { floatValue } } } } } } }"""
    found = {}
    for event in dagster.graphql(query, run=run_id)["logsForRun"]["events"]:
        for entry in event.get("metadataEntries", []):
            if entry.get("floatValue") is not None:
                found[entry["label"]] = entry["floatValue"]
    return found


def assert_forked(dagster: DagsterStack, run_id: str, key: str) -> None:
    messages = "\n".join(dagster.messages(run_id))
    assert IN_PROCESS in messages and "own environment" not in messages
    assert "starts more slowly" not in messages
    worker = worker_of(dagster, run_id)
    assert worker is not None and worker.pid == dagster.worker_pid(run_id)
    assert key in dagster.warm.pids()


def test_each_version_runs_in_a_fork_of_its_own_warm_process(dagster, mlflow_version):
    key = mlflow_version.key
    run = dagster.launch(config(key))
    assert dagster.wait(run) == "SUCCESS", dagster.messages(run)
    assert_forked(dagster, run, key)
    assert figures(dagster, run)["rmse"] == pytest.approx(RMSE, abs=1e-12)
    warm = dagster.warm.pids()[key]
    # Two at once, of the process that is there now.
    runs = [dagster.launch(config(key)) for _ in range(2)]
    assert [dagster.wait(run) for run in runs] == ["SUCCESS"] * 2
    for run in runs:
        assert_forked(dagster, run, key)
        assert figures(dagster, run)["rmse"] == pytest.approx(RMSE, abs=1e-12)
    assert dagster.warm.pids()[key] == warm
    assert len({dagster.worker_pid(run) for run in runs}) == 2


def test_a_fork_is_a_process_of_its_own(dagster, held):
    run, worker = launch_held(dagster, held)
    warm = dagster.warm.pids()["3"]
    status = Path(f"/proc/{worker.pid}/stat").read_text().rpartition(")")[2].split()
    parent, session = int(status[1]), int(status[3])
    assert (parent, session) == (warm, worker.pid)
    assert len(os.listdir(f"/proc/{warm}/task")) == 1

    # Nothing of the warm process's own is open in it: neither its socket nor those of databases.
    def sockets(pid: int) -> set[str]:
        return {link for link in opened_by(pid) if link.startswith("socket:")}

    assert not sockets(worker.pid) & sockets(warm)
    # What runs print lands where the daemon prints, as with Dagster's own launcher.
    log = os.readlink(f"/proc/{dagster.pid('daemon')}/fd/1")
    assert os.readlink(f"/proc/{worker.pid}/fd/2") in (log, str(captured(dagster, run)))
    held.release()
    assert dagster.wait(run) == "SUCCESS"
    await_condition(lambda: not worker.is_running(), "the worker to end", 30)


def captured(dagster: DagsterStack, run: str) -> Path | None:
    """The file of a run's standard error."""
    return next(iter((dagster.dagster_home / "storage" / run).rglob("*.err")), None)


def test_cancelled_from_the_webserver(dagster, held):
    run, worker = launch_held(dagster, held)
    dagster.terminate(run)
    assert dagster.wait(run) == "CANCELED", dagster.messages(run)
    await_condition(lambda: not worker.is_running(), "the worker to end", 30)


def test_a_killed_worker_fails_its_run_at_once(dagster, held):
    run, worker = launch_held(dagster, held)
    os.kill(worker.pid, signal.SIGKILL)
    began = time.monotonic()
    assert dagster.wait(run) == "FAILURE"
    # Before run monitoring or the sensor look, which do so each 10 s: the warm process saw it end.
    messages = "\n".join(dagster.messages(run))
    assert "terminated by signal 9 (SIGKILL)" in messages and "out of memory" in messages
    assert time.monotonic() - began < 8
    await_condition(lambda: mlflow_state(dagster, run) == "FAILED", "the MLflow run to be closed")


def mlflow_state(dagster: DagsterStack, run: str) -> str | None:
    [tags] = [entry["tags"] for entry in dagster.runs() if entry["runId"] == run]
    return tags.get(MLFLOW_STATE_TAG)


def test_limits_of_the_warm_process_hold_in_a_run(dagster, held):
    assert dagster.wait(dagster.launch(config())) == "SUCCESS"
    limits = (2**40, 2**40)
    resource.prlimit(dagster.warm.pids()["3"], resource.RLIMIT_AS, limits)
    run, worker = launch_held(dagster, held)
    assert resource.prlimit(worker.pid, resource.RLIMIT_AS) == limits
    held.release()
    assert dagster.wait(run) == "SUCCESS"


def test_runs_outlive_their_warm_process(dagster, held):
    run, worker = launch_held(dagster, held)
    os.kill(dagster.warm.pids()["3"], signal.SIGKILL)
    held.release()
    assert dagster.wait(run) == "SUCCESS"
    # The next run has a new one.
    assert dagster.wait(dagster.launch(config())) == "SUCCESS"


def test_a_worker_that_dies_after_its_warm_process_is_found(dagster, held):
    run, worker = launch_held(dagster, held)
    os.kill(dagster.warm.pids()["3"], signal.SIGKILL)
    os.kill(worker.pid, signal.SIGKILL)
    assert dagster.wait(run, 40) == "FAILURE"
    assert any("gone" in line for line in dagster.messages(run))


def test_code_and_environment_that_changed_are_loaded_anew(dagster):
    assert dagster.wait(dagster.launch(config())) == "SUCCESS"
    before = dagster.warm.pids()["3"]
    file = PROJECT_ROOT / "wine_quality" / "execution" / "__init__.py"
    times = file.stat()
    try:
        file.touch()
        assert dagster.wait(dagster.launch(config())) == "SUCCESS"
        after = dagster.warm.pids()["3"]
    finally:
        os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert after != before
    await_condition(lambda: WorkerProcess.of(before) is None, "the old one to end", 20)


def test_the_environment_of_a_run_is_that_of_its_launcher(dagster, held):
    run, worker = launch_held(dagster, held)
    found = dict(
        entry.split("=", 1)
        for entry in Path(f"/proc/{worker.pid}/environ").read_text().split("\0")
        if "=" in entry
    )
    wanted = dagster.variables
    differing = {name for name in wanted if found.get(name) != wanted[name]}
    assert differing <= {"PATH", "PYTHONPATH", "PWD", "OLDPWD", "SHLVL", "_", *VERSION.variables}
    held.release()
    assert dagster.wait(run) == "SUCCESS"


def test_what_steps_print_is_captured(dagster, held):
    run, _ = launch_held(dagster, held)
    held.release()
    assert dagster.wait(run) == "SUCCESS"
    file = captured(dagster, run)
    assert file is not None and "elasticnet_model" in file.read_text()
