"""Runs that commands made before ``make up`` are where people look for the runs of a job, each in
a short row; and MLflow's pages of all versions lead back to Dagster."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
import requests

from wine_quality.dagster_support.run_tag_names import MLFLOW_RUN_TAG
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

JOB = "{}/locations/ml_repository/jobs/wine_quality_model"
LABEL = "__repository__@ml_repository"
BUILT = [version.key for version in MLFLOW_VERSIONS.values() if version.python.exists()]
GRID = {"alphas": [0.001, 0.1], "l1_ratios": [0.2]}
# As the UI's pages ask: by the label of the repository, and through the job itself.
BY_LABEL = """
query ($job: String!, $label: String!) { pipelineRunsOrError(filter: {pipelineName: $job,
  tags: [{key: ".dagster/repository", value: $label}]}) { ... on Runs { results { runId status
    tags { key value } repositoryOrigin { repositoryName repositoryLocationName } } } } }"""
BY_JOB = """
query ($job: String!) { pipelineOrError(params: {pipelineName: $job, repositoryName:
  "__repository__", repositoryLocationName: "ml_repository"}) {
    ... on Pipeline { pipelineSnapshotId runs(limit: 20) { runId pipelineSnapshotId } } } }"""
LAUNCH = """
mutation ($run: ExecutionParams!) { launchRun(executionParams: $run) {
  ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """One with a run of each version, from the command line."""
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "WINE_QUALITY_HOME": str(folder)}
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    for key in BUILT:
        done = run_command("run", "--mlflow", key, env=environment)
        assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def sweeps(up) -> dict[str, str]:
    """Sweeps of two points launched at the UI: the MLflow run of each, by version."""
    for key in BUILT:
        config = {
            "ops": {"sweep_points": {"config": GRID}},
            "resources": {"mlflow": {"config": {"version": key}}},
        }
        selector = {
            "repositoryLocationName": "ml_repository",
            "repositoryName": "__repository__",
            "jobName": "wine_quality_sweep",
        }
        answer = ask(up, LAUNCH, run={"selector": selector, "runConfigData": config})
        assert "run" in answer["launchRun"], answer

    def ended() -> bool:
        return [run["status"] for run in runs_of(up, "wine_quality_sweep")] == ["SUCCESS"] * len(
            BUILT
        )

    await_condition(ended, "the sweeps", 240)
    found = [tags_of(run) for run in runs_of(up, "wine_quality_sweep")]
    return {tags["mlflow/version"]: tags[MLFLOW_RUN_TAG] for tags in found}


def ask(up, query: str, **variables: Any) -> dict[str, Any]:
    body = {"query": query, "variables": variables}
    answer = requests.post(f"{up.dagster}/graphql", json=body, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def runs_of(up, job: str) -> list[dict[str, Any]]:
    """The newest first."""
    return ask(up, BY_LABEL, job=job, label=LABEL)["pipelineRunsOrError"]["results"]


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["tags"]}


def test_the_pages_queries_find_them(up):
    found = runs_of(up, "wine_quality_model")
    assert [tags_of(run)["mlflow/version"] for run in found] == BUILT[::-1]
    origin = {"repositoryName": "__repository__", "repositoryLocationName": "ml_repository"}
    assert all(run["repositoryOrigin"] == origin for run in found)
    of_job = ask(up, BY_JOB, job="wine_quality_model")["pipelineOrError"]
    assert [run["runId"] for run in of_job["runs"]] == [run["runId"] for run in found]
    # The same job, not an older shape of it.
    shapes = {run["pipelineSnapshotId"] for run in of_job["runs"]}
    assert shapes == {of_job["pipelineSnapshotId"]}


def test_the_page_of_the_job_and_the_overview_show_them(page, up, screenshot):
    page.goto(JOB.format(up.dagster) + "/runs")
    for key in BUILT:
        page.get_by_text(f"mlflow/version: {key}").first.wait_for()
    page.get_by_text("Latest run").wait_for()
    screenshot("runs-of-a-job")
    page.goto(f"{up.dagster}/overview/activity/timeline")
    page.locator("a[href*='/jobs/wine_quality_model']").first.wait_for()
    screenshot("overview")


def test_a_row_of_the_runs_page_is_short(page, up, screenshot):
    page.goto(f"{up.dagster}/runs")
    rows = page.locator("[data-index], tr").filter(has_text="wine_quality_model")
    rows.first.get_by_text("View all tags").wait_for()
    tags = re.compile(r"^(?:(mlflow/version|file|promoted)|[\w./-]+): ")
    for row in rows.all():
        shown = [text for text in row.inner_text().splitlines() if tags.match(text)]
        assert 2 <= len(shown) <= 3, shown
        assert all(tags.match(text)[1] for text in shown), shown  # type: ignore[index]
        assert row.bounding_box()["height"] < 140
    screenshot("runs")
    # What is not shown is a click away.
    rows.first.get_by_text("View all tags").click()
    page.get_by_text("wine_quality.data_sha256").first.wait_for()
    page.keyboard.press("Escape")


@pytest.mark.parametrize("key", BUILT)
def test_mlflows_pages_lead_to_dagster_and_to_the_children(page, up, sweeps, screenshot, key):
    [dagster_run] = [
        run["runId"]
        for run in runs_of(up, "wine_quality_sweep")
        if tags_of(run)["mlflow/version"] == key
    ]
    run = f"{up.dagster}/mlflow/{key}/#/experiments/1/runs/{sweeps[key]}"
    page.goto(run)
    click(page, f"Dagster run {dagster_run[:8]}")
    page.wait_for_url(f"{up.dagster}/runs/{dagster_run}**")
    page.get_by_text("wine_quality_sweep").first.wait_for()
    page.goto(run)
    click(page, "Its child runs")
    page.get_by_text("alpha=0.001, l1_ratio=0.2").first.wait_for()
    page.get_by_text("Children of the runs of").first.wait_for()
    screenshot(f"children-{key}")
    # And not among the runs.
    page.goto(f"{up.dagster}/mlflow/{key}/#/experiments/1{'/runs' if key == '3' else ''}")
    page.get_by_text("wine_quality_sweep-").first.wait_for()
    page.get_by_text("wine_quality_model-").first.wait_for()
    assert page.get_by_text("alpha=").count() == 0
    screenshot(f"mlflow-runs-{key}")
    page.goto(f"{up.dagster}/mlflow/{key}/#/models/ElasticnetWineModel")
    page.get_by_text("Predicts the quality of a wine").first.wait_for()
    screenshot(f"mlflow-model-{key}")


def click(page, text: str) -> None:
    """A link that would open a page of its own, in this one."""
    link = page.get_by_role("link", name=text).first
    link.evaluate("link => link.removeAttribute('target')")
    link.click()


def test_such_a_run_is_re_executed_from_its_page(page, up, screenshot):
    before = runs_of(up, "wine_quality_model")
    page.goto(f"{up.dagster}/runs/{before[-1]['runId']}")
    page.get_by_role("button", name=re.compile("Re-execute")).first.wait_for()
    screenshot("run-of-a-command")
    page.get_by_role("button", name=re.compile("Re-execute")).first.click()
    again = before
    await_condition(lambda: len(runs_of(up, "wine_quality_model")) > len(before), "a new run")

    def ended() -> bool:
        nonlocal again
        again = runs_of(up, "wine_quality_model")
        return again[0]["status"] == "SUCCESS"

    await_condition(ended, "it to succeed")
    tags = tags_of(again[0])
    assert tags["mlflow/version"] == BUILT[0]
    assert tags["dagster/parent_run_id"] == before[-1]["runId"]
    # The parent was the first champion; what it promoted is not this run's doing.
    assert tags["promoted"] == "no"


def test_the_terminal_shows_little(up):
    """All else is in the log files that it names."""
    lines = up.log.read_text().splitlines()
    ready = next(n for n, line in enumerate(lines) if line.startswith("Ready after"))
    assert ready <= 4
    after = lines[ready + 1 :]
    assert [line for line in after if "wine_quality_sweep" in line and "succeeded" in line]
    assert not [line for line in lines if "skipped" in line or "STEP_" in line]
    assert len(after) < 40, after
    [folder] = re.findall(r"Logs: (\S+)", lines[ready])
    assert "skipped" in (Path(folder) / "dagster-daemon.log").read_text()
