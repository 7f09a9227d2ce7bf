"""Faults that the matrix found, each by itself, and the parts of the matrix."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import uuid
from collections.abc import Iterator
from typing import Any

import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    build_output_context,
    build_sensor_context,
    job,
)
from dagster._core.remote_origin import (
    GrpcServerCodeLocationOrigin,
    RemoteJobOrigin,
    RemoteRepositoryOrigin,
)

from wine_quality.dagster_support.run_tag_names import MLFLOW_STATE_TAG
from wine_quality.defs.io_manager import PlainFormatIOManager, StoreError
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution import lost_runs
from wine_quality.execution import run_closer as closer
from wine_quality.execution.lost_runs import end_lost_runs
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.connection import connect, tracking_settings
from wine_quality.tracking.runs.run_log import LoggedModel
from wine_quality.tracking.runs.run_tags import OPEN
from wine_quality_tests.faults import fault_matrix
from wine_quality_tests.faults.fault_link import FaultLink
from wine_quality_tests.faults.fault_matrix import Cell, Outcome
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.faults.part_tables import write_kill_table
from wine_quality_tests.support.servers import dying_with_us, free_port

VERSION = MLFLOW_VERSIONS["3"]


@pytest.fixture
def tracked(mlflow_server):
    """A tracker behind a proxy, with names of its own, and what it warned of."""
    server = mlflow_server(VERSION)
    proxy = FaultProxy(server.uri)
    name = f"lost-{uuid.uuid4().hex[:8]}"
    warnings: list[str] = []
    settings = tracking_settings(VERSION, proxy.uri, experiment_name=name)
    yield connect(VERSION, settings, warnings.append), proxy, server, name, warnings
    proxy.stop()


@pytest.mark.slow
def test_a_run_whose_first_answer_was_lost_is_there_once(tracked):
    """mlflow#8238: the client sends the request again, and the server has made the run twice."""
    tracker, proxy, server, name, warnings = tracked
    proxy.lose_answer(r"POST .*/runs/create")
    tracker.open(None, "once", {"dagster.run_id": "a-run"})
    assert proxy.lost == 1
    assert [run["info"]["run_id"] for run in server.runs(name)] == [tracker.run_id]
    assert len(warnings) == 1 and "was lost" in warnings[0]


@pytest.mark.slow
def test_steps_on_two_machines_settle_on_one_run(tracked):
    """Each has made one before either looks for others; the last to look may have the first."""
    tracker, _, server, name, _ = tracked
    tags, settings = {"dagster.run_id": "a-run"}, tracker.settings
    other = connect(VERSION, settings, print)

    def slow_create(*arguments: Any, **options: Any) -> Any:
        made = tracker.client.create_run(*arguments, **options)
        tracker.open(None, "second", tags)  # meanwhile, and to its end
        return made

    other.client.create_run = slow_create
    other.open(None, "first", tags)
    [run] = server.runs(name)
    assert run["info"]["run_id"] == other.run_id == tracker.run_id


@pytest.mark.slow
def test_a_version_whose_first_answer_was_lost_is_there_once(tracked):
    tracker, proxy, server, name, warnings = tracked
    tracker.open(None, "once", {"dagster.run_id": "a-run"})
    uri = f"{server.rest('runs/get', 'GET', run_id=tracker.run_id)['run']['info']['artifact_uri']}"
    tracker.client.log_text(tracker.run_id, "a model", "model/MLmodel")
    proxy.lose_answer(r"POST .*/model-versions/create")
    # A version by its run's folder, as the versions before 3 have it.
    tracker.create_version = lambda name, _, tags: tracker.client.create_model_version(
        name, f"{uri}/model", tracker.run_id, tags
    )
    model = LoggedModel(f"{uri}/model", sha256="0" * 64)
    number = tracker.register(model, "0" * 64, name, {"dagster.run_id": "a-run"}, "lost")
    assert proxy.lost == 1
    [version] = server.versions(name)
    assert (version["version"], version["run_id"]) == (number, tracker.run_id)
    assert len(warnings) == 1 and "was lost" in warnings[0]


def test_a_store_that_is_down_is_named(monkeypatch):
    port = free_port()
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")  # else it is tried for half a minute
    for setting, value in {
        "KEY": "key",
        "SECRET": "secret",
        "REGION": "us-east-1",
        "ENDPOINT": f"http://127.0.0.1:{port}",
    }.items():
        monkeypatch.setenv(f"WINE_QUALITY_ASSETS_{setting}", value)
    manager = PlainFormatIOManager(base_path="s3://assetsbucket/assets")
    context = build_output_context(step_key="step", name="result", run_id="r", mapping_key=None)
    with pytest.raises(StoreError, match=rf"S3 store .* at http://127.0.0.1:{port} .*Start it"):
        manager.handle_output(context, {"a": 1})


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "ops").write_text("in the way")
    manager = PlainFormatIOManager(base_path=str(tmp_path))
    context = build_output_context(step_key="step", name="result", run_id="r", mapping_key=None)
    with pytest.raises(StoreError, match="folder of asset values .*Make room"):
        manager.handle_output(context, {"a": 1})


def origin_of(location: str) -> RemoteJobOrigin:
    server = GrpcServerCodeLocationOrigin(host="localhost", port=4000, location_name=location)
    return RemoteJobOrigin(RemoteRepositoryOrigin(server, "__repository__"), "empty")


def started_run(
    instance: DagsterInstance,
    pid: int,
    status: DagsterRunStatus,
    location: str | None = None,
    **tags: str,
):
    """A run that a code server started as process ``pid``."""

    @job
    def empty() -> None:
        pass

    tags = {".dagster/grpc_info": "{}", **tags}
    origin = origin_of(location) if location else None
    run = instance.create_run_for_job(empty, tags=tags, status=status, remote_job_origin=origin)
    instance.report_engine_event(f"Started process for run (pid: {pid}).", run)
    return run.run_id


@pytest.fixture
def living() -> Iterator[int]:
    """A process that looks like a run worker."""
    words = "import time; time.sleep(600) # from multiprocessing.spawn import spawn_main"
    process = subprocess.Popen(dying_with_us(sys.executable, "-c", words))
    yield process.pid
    process.kill()
    process.wait()


def test_a_run_that_lost_its_worker_is_ended_and_no_other(monkeypatch, living):
    monkeypatch.setattr(lost_runs, "_GRACE_SECONDS", 0.0)
    started, canceling = DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING
    gone = subprocess.Popen(["true"])
    gone.wait()
    with DagsterInstance.ephemeral() as instance:
        dead = started_run(instance, gone.pid, started)
        stopping = started_run(instance, gone.pid, canceling)
        had_the_number = started_run(instance, living, started)
        alive = started_run(instance, living, started)
        done = started_run(instance, gone.pid, DagsterRunStatus.SUCCESS)
        assert sorted(end_lost_runs(instance)) == sorted([dead, stopping, had_the_number])
        now = {run.run_id: run.status for run in instance.get_runs()}
        assert now == {
            dead: DagsterRunStatus.FAILURE,
            stopping: DagsterRunStatus.CANCELED,
            had_the_number: DagsterRunStatus.FAILURE,
            alive: started,
            done: DagsterRunStatus.SUCCESS,
        }
        [text] = instance.all_logs(dead, of_type=DagsterEventType.RUN_FAILURE)
        assert "Re-execute the run from failure" in text.message
        assert end_lost_runs(instance) == []


def test_runs_of_other_code_locations_and_hosts_are_left_to_them(monkeypatch):
    monkeypatch.setattr(lost_runs, "_GRACE_SECONDS", 0.0)
    gone = subprocess.Popen(["true"])
    gone.wait()
    with DagsterInstance.ephemeral() as instance:
        started = DagsterRunStatus.STARTED
        for host in ("192.0.2.7", "code-server.invalid"):
            info = json.dumps({"host": host, "port": 4000})
            started_run(instance, gone.pid, started, **{".dagster/grpc_info": info})
        started_run(instance, gone.pid, started, location="another")
        here = json.dumps({"host": "127.0.0.1", "port": 4000})
        own = started_run(
            instance, gone.pid, started, location="ml_repository", **{".dagster/grpc_info": here}
        )
        assert end_lost_runs(instance, "ml_repository") == [own]
        others = [run.status for run in instance.get_runs() if run.run_id != own]
        assert others == [started] * 3


def test_only_own_runs_are_counted_as_done_and_closed(monkeypatch):
    """By the sensor itself, as the daemon evaluates it for the code location."""
    closed = []
    monkeypatch.setattr(closer, "is_open", lambda run: True)
    monkeypatch.setattr(closer, "tracking_uri_of", lambda run: "http://127.0.0.1:1")
    monkeypatch.setattr(closer, "close_mlflow_run", lambda _, run_id, status: closed.append(run_id))
    monkeypatch.setattr("wine_quality.execution.done_runs.is_done", lambda *_: True)
    failure = DagsterRunStatus.FAILURE
    tags = {MLFLOW_STATE_TAG: OPEN}
    with DagsterInstance.ephemeral() as instance:
        own = started_run(instance, 1, failure, location="ml_repository", **tags)
        terminal = started_run(instance, 1, failure, **tags)
        other = started_run(instance, 1, failure, location="another", **tags)
        context = build_sensor_context(instance=instance)
        origin = origin_of("ml_repository").repository_origin.code_location_origin
        context._code_location_origin = origin
        closer.mlflow_run_closer(context)
        assert sorted(closed) == sorted([own, terminal])
        assert instance.get_run_by_id(other).status == failure
        assert instance.get_run_by_id(own).status == DagsterRunStatus.SUCCESS


def test_a_worker_that_has_just_spoken_is_not_ended():
    gone = subprocess.Popen(["true"])
    gone.wait()
    with DagsterInstance.ephemeral() as instance:
        started_run(instance, gone.pid, DagsterRunStatus.STARTED)
        assert end_lost_runs(instance) == []


def test_a_link_goes_down_hangs_and_comes_back():
    with socket.create_server(("127.0.0.1", 0)) as server:
        link = FaultLink(server.getsockname()[1])
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as client:
            behind, _ = server.accept()
            client.sendall(b"a")
            assert behind.recv(1) == b"a"
            link.hang()
            client.sendall(b"b")
            behind.settimeout(0.3)
            with pytest.raises(TimeoutError):
                behind.recv(1)
            link.down()
            assert client.recv(1) == b""
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", link.port), timeout=5)
        link.restore()
        with socket.create_connection(("127.0.0.1", link.port), timeout=5) as client:
            again, _ = server.accept()
            client.sendall(b"c")
            assert again.recv(1) == b"c"
        link.close()


def test_the_documentation_shows_the_table_that_was_measured():
    known = json.loads((PROJECT_ROOT / "docs" / "fault-matrix.json").read_text())
    there = [cell for cell in fault_matrix.CELLS if str(cell) in known]
    text = fault_matrix.table(Outcome(cell, *known[str(cell)][:2]) for cell in there)
    page = (PROJECT_ROOT / "docs" / "how-to" / "faults.md").read_text()
    assert fault_matrix.with_table(page, text) == page
    assert text in (PROJECT_ROOT / "docs" / "fault-matrix.md").read_text()


def test_every_cell_is_run_or_has_its_reason():
    run = {(cell.row, cell.column) for cell in fault_matrix.CELLS}
    everything = {(r, c) for r in fault_matrix.ROWS for c in fault_matrix.COLUMNS}
    assert run | set(fault_matrix.NO_SENSE) == everything
    assert not run & set(fault_matrix.NO_SENSE)


def test_the_table_says_what_was_seen():
    cell = Cell(fault_matrix.S3, fault_matrix.HANG, "3")
    other = Cell(fault_matrix.S3, fault_matrix.HANG, "1.26")
    text = fault_matrix.table(
        [Outcome(cell, "run succeeds", 3.4), Outcome(other, "**FAILS**", None)]
    )
    [row] = [line for line in text.splitlines() if line.startswith("| S3 |")]
    assert "3: run succeeds (3 s); 1.26: **FAILS**" in row
    assert row.count("not run") == len(fault_matrix.COLUMNS) - 1


def test_the_kill_table_can_be_written_before_the_first_kill(tmp_path):
    event = "raw_wine_csv STEP_START"
    lines = [{"events": [event], "broken": []}]
    write_kill_table(tmp_path, "MLflow 3: the worker", lines)
    assert "the worker" not in (tmp_path / "kill-points.md").read_text()
    came = {"when": "1", "killed": True, "ended": "FAILURE", "again": "SUCCESS", "broken": []}
    write_kill_table(tmp_path, "MLflow 3: the worker", [*lines, came])
    table = (tmp_path / "kill-points.md").read_text()
    assert "## MLflow 3: the worker" in table and f"| 1 | {event} | F→S |" in table
