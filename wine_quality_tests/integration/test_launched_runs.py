"""Runs launched through a real webserver, daemon and the project's launcher, for each version.

A proxy before the MLflow server holds the run at a chosen request, so that "in mid-run" is a
place and not a matter of timing.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

from wine_quality.dagster_support.run_tag_names import MLFLOW_EXPERIMENT_TAG, MLFLOW_RUN_TAG
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.launched import (
    AT_LOGGING,
    Tracked,
    assert_success,
    children_of,
    is_running,
    tracked_through_proxy,
)
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_process import KILL_HOOK

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ASSETS = [
    "raw_wine_csv",
    "train_test_split",
    "elasticnet_model",
    "evaluation_metrics",
    "registered_model",
]
LAST_STEP_DONE, MLFLOW_ENDED = "champion_model STEP_SUCCESS", "ended as FINISHED"
AT_REGISTRATION = r"/model-versions/create"


@pytest.fixture(scope="module")
def dagster(tmp_path_factory) -> Iterator[DagsterStack]:
    folder = tmp_path_factory.mktemp("platform")
    stack = DagsterStack(
        folder,
        WINE_QUALITY_ALLOWED_ROOTS="/nowhere",
        PYTHONPATH=str(KILL_HOOK),
        WINE_QUALITY_TESTS_KILL=str(folder),
    )
    yield stack
    stack.stop()


@pytest.fixture
def tracked(mlflow_version, mlflow_server) -> Iterator[Tracked]:
    with tracked_through_proxy(mlflow_version.key, mlflow_server(mlflow_version)) as tracked:
        yield tracked


def test_success_is_finished(dagster, tracked):
    assert_success(dagster, tracked, dagster.launch(tracked.config()))


def test_materialize_all_then_a_part_that_finds_the_run_that_trained(dagster, tracked):
    assert_success(dagster, tracked, dagster.launch(tracked.config(), assets=ASSETS))
    part = dagster.launch(tracked.config(), assets=["evaluation_metrics"])
    assert dagster.wait(part) == "SUCCESS", dagster.messages(part)
    assert tracked.statuses == ["FINISHED"]
    again = dagster.launch(tracked.config(), assets=["registered_model"])
    assert dagster.wait(again) == "SUCCESS", dagster.messages(again)
    assert tracked.statuses == ["FINISHED"]
    assert tracked.versions == 1


def test_reexecution_from_failure_resumes_the_mlflow_run(dagster, tracked):
    tracked.proxy.refuse(AT_REGISTRATION)
    failed = dagster.launch(tracked.config())
    assert dagster.wait(failed) == "FAILURE"
    assert tracked.statuses == ["FAILED"], "\n".join(dagster.messages(failed))
    assert tracked.versions == 0

    tracked.proxy.refuse(None)
    tracked.proxy.hold(AT_REGISTRATION)
    again = dagster.reexecute_from_failure(failed)
    assert tracked.proxy.held.wait(60), dagster.messages(again)
    assert tracked.statuses == ["RUNNING"]
    tracked.proxy.release()
    assert dagster.wait(again) == "SUCCESS", dagster.messages(again)
    assert tracked.statuses == ["FINISHED"]
    assert tracked.versions == 1


def test_bad_input_is_named_in_the_run_log(dagster, tracked):
    config = tracked.config()
    config["ops"] = {"raw_wine_csv": {"config": {"csv_url": "/nowhere/wines.csv"}}}
    run = dagster.launch(config)
    assert dagster.wait(run) == "FAILURE"
    assert any("/nowhere/wines.csv does not exist" in line for line in dagster.messages(run))
    assert tracked.statuses == ["FAILED"]
    assert tracked.versions == 0


@pytest.mark.parametrize("mlflow_version", ["1.26", "3"], indirect=True)
def test_what_is_refused_whatever_the_client(dagster, tracked):
    """In a process of another environment, and in the run worker itself."""
    config = tracked.config()
    # What whoever launches may not read, they read by no config.
    config["ops"] = {"raw_wine_csv": {"config": {"csv_url": "/etc/passwd"}}}
    run = dagster.launch(config)
    assert dagster.wait(run) == "FAILURE"
    assert any(
        "by $WINE_QUALITY_ALLOWED_ROOTS (now: /nowhere, and" in m for m in dagster.messages(run)
    )
    assert tracked.statuses == ["FAILED"]

    config = tracked.config()
    config["resources"]["hyperparameters"] = {"config": {"alpha": -1}}
    with pytest.raises(AssertionError, match="alpha is -1.0; it must be at least 0"):
        dagster.launch(config)
    assert tracked.versions == 0


def test_an_unknown_version_is_refused_at_launch(dagster):
    config = {"resources": {"mlflow": {"config": {"version": "9.9"}}}}
    with pytest.raises(AssertionError, match="quote it"):
        dagster.launch(config)


def test_terminate_ends_killed(dagster, tracked):
    tracked.proxy.hold(AT_LOGGING)
    run = dagster.launch(tracked.config())
    assert tracked.proxy.held.wait(60), dagster.messages(run)
    assert tracked.statuses == ["RUNNING"]
    dagster.terminate(run)
    assert dagster.wait(run) == "CANCELED", dagster.messages(run)
    assert tracked.statuses == ["KILLED"], "\n".join(dagster.messages(run))
    assert tracked.versions == 0


def test_killed_run_worker_is_closed(dagster, tracked):
    tracked.proxy.hold(AT_LOGGING)
    run = dagster.launch(tracked.config())
    assert tracked.proxy.held.wait(60), dagster.messages(run)
    worker = dagster.worker_pid(run)
    children = children_of(worker)
    os.kill(worker, signal.SIGKILL)
    assert dagster.wait(run) == "FAILURE", dagster.messages(run)
    await_condition(lambda: tracked.statuses == ["FAILED"], "the sensor to close the run", 60)
    await_condition(lambda: not any(map(is_running, children)), "the plan process to end", 30)
    assert tracked.versions == 0


def test_killed_between_the_last_step_and_success_the_run_is_done(dagster, tracked):
    """Killed while the MLflow run is open, and when it has ended and Dagster does not know yet."""
    names = {LAST_STEP_DONE: f"{tracked.name}-open", MLFLOW_ENDED: f"{tracked.name}-ended"}
    runs = {
        name: dagster.launch(
            tracked.config(experiment_name=name, registered_model_name=name),
            tags={"test/kill": f"worker {when}"},
        )
        for when, name in names.items()
    }
    for name, run in runs.items():
        await_condition(lambda run=run: dagster.status(run) == "SUCCESS", f"{name} to count", 120)
        assert any("All steps had succeeded" in line for line in dagster.messages(run))
        finished = lambda name=name: tracked.server.statuses(name) == ["FINISHED"]  # noqa: E731
        await_condition(finished, "its MLflow run to be closed", 60)
        assert len(tracked.server.versions(name)) == 1


def test_a_killed_part_is_closed_in_the_experiment_of_its_training(dagster, tracked):
    assert dagster.wait(dagster.launch(tracked.config())) == "SUCCESS"
    elsewhere = f"{tracked.name}-elsewhere"
    tracked.proxy.hold(AT_LOGGING, after=1)  # the first says whose the run is now
    part = dagster.launch(tracked.config(experiment_name=elsewhere), assets=["evaluation_metrics"])
    assert tracked.proxy.held.wait(60), dagster.messages(part)
    assert tracked.statuses == ["RUNNING"]
    os.kill(dagster.worker_pid(part), signal.SIGKILL)
    assert dagster.wait(part) == "FAILURE", dagster.messages(part)
    await_condition(lambda: tracked.statuses == ["FAILED"], "the sensor to close the run", 60)
    [tags] = [run["tags"] for run in dagster.runs() if run["runId"] == part]
    [mlflow_run] = tracked.server.runs(tracked.name)
    assert tags[MLFLOW_EXPERIMENT_TAG] == tracked.name
    assert tags[MLFLOW_RUN_TAG] == mlflow_run["info"]["run_id"]
    text = f"[mlflow_run_closer] MLflow run {tags[MLFLOW_RUN_TAG]} (experiment {tracked.name})"
    await_condition(lambda: any(text in m for m in dagster.messages(part)), "the run's log", 10)
    assert tracked.server.runs(elsewhere) == []
    tracked.proxy.release()
    again = dagster.reexecute_from_failure(part)
    assert dagster.wait(again) == "SUCCESS", dagster.messages(again)
    assert tracked.statuses == ["FINISHED"]
