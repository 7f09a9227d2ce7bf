"""The parts of warm run workers that need no run."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job
from dagster._core.code_pointer import FileCodePointer
from dagster._core.origin import JobPythonOrigin, RepositoryPythonOrigin
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    ManagedGrpcPythonEnvCodeLocationOrigin,
    RemoteRepositoryOrigin,
)
from dagster._core.types.loadable_target_origin import LoadableTargetOrigin

from wine_quality.dagster_support.dagster_private import WorkerStatus
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution import code_state as code_state_module
from wine_quality.execution import lost_runs, messages, warm_imports
from wine_quality.execution.code_state import code_state
from wine_quality.execution.warm_client import WarmProcessError, WarmServers, idle_minutes
from wine_quality.execution.warm_launcher import WarmRunLauncher, version_for, warm_version
from wine_quality.execution.warm_server import has_no_room
from wine_quality.execution.worker_process import RUN_WORKER_TAG, WorkerProcess
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import dagster as stack_dagster
from wine_quality_tests.support.servers import dying_with_us

VERSION = MLFLOW_VERSIONS["3"]


@pytest.fixture
def living():
    process = subprocess.Popen(dying_with_us("sleep", "600"))
    yield process
    process.kill()
    process.wait()


def gone() -> WorkerProcess:
    """A process that was, under the number of one that is."""
    me = WorkerProcess.of(os.getpid())
    assert me is not None
    return WorkerProcess(me.pid, me.started - 1, me.boot)


def test_a_process_is_not_taken_for_the_one_that_had_its_number(living):
    worker = WorkerProcess.of(living.pid)
    assert worker is not None and worker.is_running()
    assert not gone().is_running() and not gone().send(9)
    living.kill()
    # Ended, and not yet waited for: nobody else can have its number.
    os.waitid(os.P_PID, living.pid, os.WEXITED | os.WNOWAIT)
    assert not worker.is_running()
    living.wait()
    assert not worker.is_running()


def test_the_warm_process_used_last_stays_however_large_it_is(tmp_path):
    sockets = {}
    for number, name in enumerate(("older", "newer")):
        path = tmp_path / f"{name}.sock"
        sockets[name] = socket.socket(socket.AF_UNIX)
        sockets[name].bind(str(path))
        sockets[name].listen()
        os.utime(path, (number, number))
    try:
        assert not has_no_room(tmp_path / "newer.sock", 1)
        assert has_no_room(tmp_path / "older.sock", 1)
        assert not has_no_room(tmp_path / "older.sock", 2**40)
    finally:
        for one in sockets.values():
            one.close()


def test_the_tag_of_a_parent_is_not_that_of_its_reexecution(living):
    worker = WorkerProcess.of(living.pid)
    tags = worker.as_tag("first")
    assert WorkerProcess.of_run("first", tags) == worker
    assert WorkerProcess.of_run("second", tags) is None
    assert WorkerProcess.of_run("first", {}) is None
    assert WorkerProcess.of_run("first", {RUN_WORKER_TAG: "no JSON"}) is None


@job
def empty() -> None:
    pass


def test_health_and_loss_go_by_the_process_noted(living, monkeypatch):
    monkeypatch.setattr(lost_runs, "_GRACE_SECONDS", 0.0)
    launcher = WarmRunLauncher()
    with DagsterInstance.ephemeral() as instance:
        launcher.register_instance(instance)

        def started(worker: WorkerProcess):
            run = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTED)
            instance.add_run_tags(run.run_id, worker.as_tag(run.run_id))
            return instance.get_run_by_id(run.run_id)

        alive, dead = started(WorkerProcess.of(living.pid)), started(gone())
        other = instance.create_run_for_job(empty, status=DagsterRunStatus.STARTED)
        status = {run.run_id: launcher.check_run_worker_health(run) for run in (alive, dead, other)}
        assert status[alive.run_id].status == WorkerStatus.RUNNING
        assert status[dead.run_id].status == WorkerStatus.NOT_FOUND
        # Dagster's own code server says when one of its own has ended.
        assert status[other.run_id].status == WorkerStatus.RUNNING
        assert lost_runs.end_lost_runs(instance) == [dead.run_id]
        assert launcher.get_run_worker_debug_info(dead) is None
        assert "was killed" in (launcher.get_run_worker_debug_info(alive) or "")
    assert living.wait(10) == -9


def test_code_environment_and_variables_make_the_state(tmp_path, monkeypatch):
    monkeypatch.setattr(code_state_module, "PROJECT_ROOT", tmp_path)
    module = tmp_path / "wine_quality" / "deeper" / "module.py"
    module.parent.mkdir(parents=True)
    module.write_text("a = 1\n")
    variables = {"A": "1", "SHLVL": "1"}
    state = code_state(VERSION, variables)
    assert code_state(VERSION, {**variables, "SHLVL": "2"}) == state
    (module.parent / "notes.txt").write_text("no code")
    assert code_state(VERSION, variables) == state
    changed = [code_state(VERSION, {**variables, "A": "2"})]
    module.write_text("a = 12\n")
    changed.append(code_state(VERSION, variables))
    module.with_name("new.py").touch()
    changed.append(code_state(VERSION, variables))
    assert len({state, *changed}) == 4


def test_a_socket_may_lie_deep(tmp_path):
    folder = tmp_path / ("a-folder-with-a-long-name" * 6)
    folder.mkdir()
    path = folder / "mlflow-3.sock"
    assert len(str(path)) > 108
    with messages.listen(path) as listener, messages.connect(path, 5) as client:
        assert path.stat().st_mode & 0o777 == 0o600
        server, _ = listener.accept()
        with server:
            assert messages.peer(server) == (os.getpid(), os.getuid())
            messages.send(client, {"ask": "launch"}, (1, 2))
            asked, descriptors = messages.receive(server)
            assert asked == {"ask": "launch"} and len(descriptors) == 2
            for descriptor in descriptors:
                os.close(descriptor)
            client.close()
            with pytest.raises(messages.ConnectionEndedError):
                messages.receive(server)


def test_a_warm_process_that_does_not_start_says_why(tmp_path):
    servers = WarmServers(tmp_path / "warm")
    variables = {**os.environ, "WINE_QUALITY_MLFLOW": "no such version"}
    with pytest.raises(WarmProcessError, match="no such version"):
        servers.warm_up(VERSION, variables)
    assert (tmp_path / "warm").stat().st_mode & 0o777 == 0o700


def test_what_minutes_may_be():
    assert idle_minutes({}) == 10 and idle_minutes({"WINE_QUALITY_WARM_MINUTES": "0"}) == 0
    with pytest.raises(WarmProcessError, match="'soon', not a number"):
        idle_minutes({"WINE_QUALITY_WARM_MINUTES": "soon"})


@pytest.mark.parametrize(
    ("named", "set_here", "expected"),
    [
        ("1.26", None, "1.26"),
        (None, None, "3"),
        (None, "2.1.1", "2.1.1"),
        # Left to the executor, in the code server's environment.
        ({"env": "SOME_VARIABLE"}, "2.1.1", "3"),
        ("9.9", None, "3"),
        (None, "9.9", "3"),
    ],
)
def test_which_warm_process_takes_a_run(named, set_here, expected, monkeypatch):
    monkeypatch.setattr("wine_quality.execution.warm_launcher.is_complete", lambda _version: True)
    config = {"resources": {"mlflow": {"config": {"version": named}}}} if named else {}
    variables = {"WINE_QUALITY_MLFLOW": set_here} if set_here else {}
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(empty).with_tags({})
        run = run._replace(run_config=config) if hasattr(run, "_replace") else run
        assert version_for(instance, run, variables).key == expected


def test_a_version_that_is_not_built_is_left_to_the_executor(monkeypatch):
    monkeypatch.setattr("wine_quality.execution.warm_launcher.is_complete", lambda _version: False)
    with DagsterInstance.ephemeral() as instance:
        run = instance.create_run_for_job(empty)
        found = version_for(instance, run, {"WINE_QUALITY_MLFLOW": "1.26"})
    assert Path(sys.prefix).resolve() == found.directory.resolve()


def test_the_stack_differs_from_the_containers_in_the_launcher_alone(tmp_path):
    stack_dagster._write_instance(tmp_path / "dagster.yaml")
    ours = (tmp_path / "dagster.yaml").read_text().splitlines()
    theirs = (PROJECT_ROOT / "deploy" / "docker-compose" / "dagster.yaml").read_text().splitlines()
    differing = [(a.strip(), b.strip()) for a, b in zip(ours, theirs, strict=True) if a != b]
    assert differing == [
        ("module: wine_quality.execution.warm_launcher", "module: dagster.core.launcher"),
        ("class: WarmRunLauncher", "class: DefaultRunLauncher"),
    ]
    path = stack_dagster._write_variables(tmp_path, {"A": "secret"})
    assert path.stat().st_mode & 0o777 == 0o600


def test_packages_are_listed_before_the_first_run(monkeypatch: pytest.MonkeyPatch) -> None:
    from mlflow.utils import requirements_utils

    # Fails, too, where MLflow has renamed what a warm process fills.
    assert hasattr(requirements_utils, "_MODULES_TO_PACKAGES")
    monkeypatch.setattr(requirements_utils, "_MODULES_TO_PACKAGES", None)
    warm_imports.map_installed_packages()
    assert requirements_utils._MODULES_TO_PACKAGES["sklearn"] == ["scikit-learn"]


def run_of_a_project(
    instance: DagsterInstance, where: Any, programs: str, image: str | None = None
) -> Any:
    """A run of a project of one's own; ``where`` its code server is."""
    pointer = FileCodePointer("definitions.py", "defs", "/project")
    code = RepositoryPythonOrigin(f"{programs}/python3", pointer, image, ["dagster"], {})
    remote = RemoteRepositoryOrigin(where, "__repository__").get_job_origin("empty")
    return instance.create_run_for_job(
        empty, job_code_origin=JobPythonOrigin("empty", code), remote_job_origin=remote
    )


def test_a_run_of_another_project_is_forked_where_that_is_as_good(monkeypatch):
    monkeypatch.setattr("wine_quality.execution.warm_launcher.is_complete", lambda _version: True)
    managed = ManagedGrpcPythonEnvCodeLocationOrigin(LoadableTargetOrigin(python_file="a.py"))
    of_dev = GrpcServerCodeLocationOrigin("localhost", socket="/tmp/socket")
    by_port = GrpcServerCodeLocationOrigin("localhost", port=4000)
    programs = str(MLFLOW_VERSIONS["2.1.1"].python.parent)
    with DagsterInstance.ephemeral() as instance:

        def version(*described: Any, named: str | None = None) -> str | None:
            run = run_of_a_project(instance, *described)
            if named:
                run = run._replace(
                    run_config={"resources": {"mlflow": {"config": {"version": named}}}}
                )
            found = warm_version(instance, run, {"WINE_QUALITY_MLFLOW": "1.26"})
            return found and found.key

        assert version(managed, programs) == version(of_dev, programs) == "2.1.1"
        assert version(managed, programs, named="1.26") == "1.26"
        assert version(managed, programs, named="9.9") == "2.1.1"
        assert version(by_port, programs) is None
        assert version(managed, programs, "an/image:1") is None
        assert version(managed, "/usr/bin", named="1.26") is None
        monkeypatch.setenv("WINE_QUALITY_RUN_VARIABLES", "/stack/variables.json")
        assert version(managed, programs) is None
