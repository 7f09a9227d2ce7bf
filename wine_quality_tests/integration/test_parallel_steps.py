"""Steps of one run at the same time: one MLflow run, on each version, however they end."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from wine_quality_tests.support import parallel_project
from wine_quality_tests.support.servers import await_condition

pytestmark = pytest.mark.slow


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("WINE_QUALITY_TEST_FOLDER", str(tmp_path))
    return tmp_path


@pytest.fixture
def execute(home, monkeypatch, folder, mlflow_version, mlflow_server, forked_workers):
    """Runs the job with two steps at the same time; success, instance, run id and the server."""
    from dagster import DagsterInstance, execute_job, reconstructable

    place = home / "dagster"
    place.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(place))
    server = mlflow_server(mlflow_version)

    def run(name: str, max_concurrent: int = 2) -> tuple[bool, Any, str]:
        fields = {"version": mlflow_version.key, "tracking_uri": server.uri}
        result = execute_job(
            reconstructable(parallel_project.both),
            instance,
            run_config={
                "resources": {"mlflow": {"config": {**fields, "experiment_name": name}}},
                "execution": {"config": {"max_concurrent": max_concurrent}},
            },
        )
        return result.success, instance, result.run_id

    run.server = server  # type: ignore[attr-defined]
    with DagsterInstance.get() as instance:
        yield run


def steps(instance: Any, run_id: str, kind: str) -> set[str]:
    from dagster import DagsterEventType

    logs = instance.all_logs(run_id, of_type=DagsterEventType(kind))
    return {entry.step_key for entry in logs}


def test_two_trainings_at_the_same_time_share_one_mlflow_run(execute, folder, mlflow_version):
    name = f"parallel-{mlflow_version.key}"
    success, instance, run_id = execute(name)
    assert success, [entry.user_message for entry in instance.all_logs(run_id)][-10:]
    [run] = execute.server.runs(name)
    assert run["info"]["status"] == "FINISHED"
    assert {metric["key"] for metric in run["data"]["metrics"]} >= {"left", "right"}
    assert {param["key"] for param in run["data"]["params"]} >= {"left", "right"}
    assert len({os.getpid(), *(int(path.read_text()) for path in folder.glob("*.works"))}) == 3
    tags = instance.get_run_by_id(run_id).tags
    assert tags["dagster/mlflow.run_id"] == run["info"]["run_id"]
    assert tags["dagster/mlflow.state"] == "FINISHED"


@pytest.mark.parametrize("how", ["fails", "dies"])
def test_one_fails_and_the_other_ends_its_work(execute, folder, mlflow_version, how):
    name = f"parallel-{how}-{mlflow_version.key}"
    (folder / f"right.{how}").touch()
    success, instance, run_id = execute(name)
    assert not success
    assert steps(instance, run_id, "STEP_FAILURE") == {"right"}
    assert "left" in steps(instance, run_id, "STEP_SUCCESS")
    [run] = execute.server.runs(name)
    assert run["info"]["status"] == "FAILED"
    assert "left" in {metric["key"] for metric in run["data"]["metrics"]}
    if how == "dies":
        text = " ".join(str(entry.dagster_event) for entry in instance.all_logs(run_id))
        assert "was ended by SIGKILL (out of memory?) before the step was finished" in text


def test_a_retried_step_goes_on_in_the_same_mlflow_run(execute, folder, mlflow_version):
    name = f"parallel-retried-{mlflow_version.key}"
    (folder / "left.fails-once").touch()
    success, instance, run_id = execute(name)
    assert success
    assert steps(instance, run_id, "STEP_UP_FOR_RETRY") == {"left"}
    assert execute.server.statuses(name) == ["FINISHED"]


def test_an_interruption_ends_all_steps(execute, folder, mlflow_version):
    from dagster import DagsterRunStatus

    name = f"parallel-interrupted-{mlflow_version.key}"
    for side in ("left", "right"):
        (folder / f"{side}.waits").touch()
    sides = [folder / f"{side}.works" for side in ("left", "right")]

    def interrupt() -> None:
        await_condition(lambda: all(side.exists() for side in sides), "both at work", 90)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    try:
        success, instance, run_id = execute(name)
    finally:
        thread.join()
    assert not success
    pids = [int(side.read_text()) for side in sides]
    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert instance.get_run_by_id(run_id).status in (
        DagsterRunStatus.CANCELED,
        DagsterRunStatus.FAILURE,
    )
    assert execute.server.statuses(name) == ["KILLED"]


def test_a_number_below_one_is_refused(execute, mlflow_version):
    with pytest.raises(ValueError, match="max_concurrent is 0; it is how many steps"):
        execute("none", max_concurrent=0)


def test_dagsters_processes_share_one_mlflow_run_too(home, monkeypatch, folder, mlflow_server):
    """Two first steps at once: each would open a run of its own, and remove the other's."""
    from dagster import DagsterInstance, execute_job, reconstructable

    from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS

    place = home / "dagster"
    place.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(place))
    server, name = mlflow_server(MLFLOW_VERSIONS["3"]), "by-dagsters-processes"
    fields = {"version": "3", "tracking_uri": server.uri, "experiment_name": name}
    with DagsterInstance.get() as instance:
        result = execute_job(
            reconstructable(parallel_project.both_by_dagster),
            instance,
            run_config={"resources": {"mlflow": {"config": fields}}},
        )
    assert result.success
    [run] = server.runs(name)
    assert {metric["key"] for metric in run["data"]["metrics"]} >= {"left", "right"}
