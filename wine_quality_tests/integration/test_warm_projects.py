"""Runs of a project of one's own, forked from the warm processes of its Dagster instance."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance

from wine_quality.execution.worker_process import WorkerProcess
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.dagster_stack import ENDED, DagsterStack
from wine_quality_tests.support.servers import await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CHURN = PROJECT_ROOT / "examples" / "churn" / "definitions.py"
GREETING = """

@dg.op
def greet(context):
    context.log.info("hello once")


@dg.job
def greeting():
    greet()


defs = dg.Definitions.merge(defs, dg.Definitions(jobs=[greeting]))
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory) -> Path:
    """The churn example, with a job that has no MLflow."""
    file = tmp_path_factory.mktemp("project") / "definitions.py"
    shutil.copy(CHURN, file)
    file.write_text(file.read_text() + GREETING)
    return file


@pytest.fixture(scope="module")
def dagster(tmp_path_factory, project) -> Iterator[DagsterStack]:
    stack = DagsterStack(tmp_path_factory.mktemp("own"), project)
    yield stack
    stack.stop()


SEGMENTS = PROJECT_ROOT / "examples" / "segments" / "definitions.py"
CITIES = ["Bern", "Geneva", "Lugano"]
ASSETS = ("data", "train", "test", "model", "metrics", "version", "champion")
BACKFILL = """mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) { __typename
    ... on LaunchBackfillSuccess { backfillId } } }"""
PROBLEM = """query Problem($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } } } }"""


def was_forked(dagster: DagsterStack, run_id: str) -> bool:
    """Whether a warm process was asked for a run, and no process more was started for it."""
    with DagsterInstance.from_config(str(dagster.dagster_home)) as instance:
        run = instance.get_run_by_id(run_id)
    assert run is not None
    started_more = any("in its own environment" in line for line in dagster.messages(run_id))
    return WorkerProcess.of_run(run_id, run.tags) is not None and not started_more


@pytest.mark.parametrize("key", [None, "1.26"])
def test_a_run_is_forked_from_the_process_of_its_version(dagster, key):
    config = {"resources": {"mlflow": {"config": {"version": key}}}} if key else {}
    run = dagster.launch(config, job="churn")
    assert dagster.wait(run) == "SUCCESS", dagster.messages(run)
    assert was_forked(dagster, run)
    # None: that of its code server.
    assert (key or "3") in dagster.warm.pids()


def test_each_run_loads_the_code_as_it_is_then(dagster, project):
    first = dagster.launch({}, job="greeting")
    assert dagster.wait(first) == "SUCCESS", dagster.messages(first)
    project.write_text(project.read_text().replace("hello once", "hello twice"))
    second = dagster.launch({}, job="greeting")
    assert dagster.wait(second) == "SUCCESS", dagster.messages(second)
    assert any("hello once" in line for line in dagster.messages(first))
    assert any("hello twice" in line for line in dagster.messages(second))
    assert was_forked(dagster, first) and was_forked(dagster, second)


def test_materialize_all_with_all_partitions_trains_each_segment(tmp_path):
    """As the UI's button, which gives no run config; the checks of the assets are executed, too."""
    dagster = DagsterStack(tmp_path, SEGMENTS)
    try:
        asked = {
            "assetSelection": [{"path": [f"segments_{name}"]} for name in ASSETS],
            "partitionNames": CITIES,
        }
        launched = dagster.graphql(BACKFILL, params=asked)["launchPartitionBackfill"]

        def all_ended() -> bool:
            found = dagster.graphql(PROBLEM, id=launched["backfillId"])["partitionBackfillOrError"]
            assert found["error"] is None, found
            return [run["status"] in ENDED for run in dagster.runs()] == [True] * len(CITIES)

        await_condition(all_ended, "the end of all runs", 240)
        runs = dagster.runs()
        for run in runs:
            assert run["status"] == "SUCCESS", dagster.messages(run["runId"])
            assert was_forked(dagster, run["runId"])
        assert {run["tags"]["dagster/partition"] for run in runs} == {*CITIES}
    finally:
        dagster.stop()
