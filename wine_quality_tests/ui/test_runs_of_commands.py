"""Runs that commands made before ``make up`` are where people look for the runs of a job."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
import requests

from wine_quality.environments.versions import MLFLOW_VERSIONS
from wine_quality_tests.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

JOB = "{}/locations/ml_repository/jobs/wine_quality_model"
BUILT = [version.key for version in MLFLOW_VERSIONS.values() if version.python.exists()]
# As the UI's pages ask: by the label of the repository, and through the job itself.
BY_LABEL = """
query ($job: String!, $label: String!) { pipelineRunsOrError(filter: {pipelineName: $job,
  tags: [{key: ".dagster/repository", value: $label}]}) { ... on Runs { results { runId
    repositoryOrigin { repositoryName repositoryLocationName } } } } }"""
BY_JOB = """
query ($job: String!) { pipelineOrError(params: {pipelineName: $job, repositoryName:
  "__repository__", repositoryLocationName: "ml_repository"}) {
    ... on Pipeline { pipelineSnapshotId runs(limit: 20) { runId pipelineSnapshotId } } } }"""


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """One with a run of each version and a sweep, from the command line."""
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "WINE_QUALITY_HOME": str(folder)}
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    commands = [["run", "--mlflow", key] for key in BUILT]
    for command in [*commands, ["sweep", "--alphas", "0.1,0.5", "--l1-ratios", "0.5"]]:
        done = run_command(*command, env=environment)
        assert done.returncode == 0, done.stderr
    return folder


def ask(up, query: str, **variables: str) -> dict:
    body = {"query": query, "variables": variables}
    answer = requests.post(f"{up.dagster}/graphql", json=body, timeout=60).json()
    assert "errors" not in answer, answer
    return answer["data"]


def test_the_pages_queries_find_them(up):
    for job, number in {"wine_quality_model": len(BUILT), "wine_quality_sweep": 1}.items():
        label = "__repository__@ml_repository"
        found = ask(up, BY_LABEL, job=job, label=label)["pipelineRunsOrError"]["results"]
        assert len(found) == number
        origin = {"repositoryName": "__repository__", "repositoryLocationName": "ml_repository"}
        assert all(run["repositoryOrigin"] == origin for run in found)
        of_job = ask(up, BY_JOB, job=job)["pipelineOrError"]
        assert {run["runId"] for run in of_job["runs"]} == {run["runId"] for run in found}
        # The same job, not an older shape of it.
        shapes = {run["pipelineSnapshotId"] for run in of_job["runs"]}
        assert shapes == {of_job["pipelineSnapshotId"]}


def test_the_page_of_the_job_shows_them(page, up, screenshot):
    page.goto(JOB.format(up.dagster) + "/runs")
    for key in BUILT:
        page.get_by_text(f"mlflow/version: {key}").first.wait_for()
    assert page.get_by_text("You have not launched any runs").count() == 0
    screenshot("runs-of-a-job")
    page.goto(f"{up.dagster}/overview/jobs")
    page.locator("a[href^='/runs/']").first.wait_for()
    screenshot("overview-jobs")


def test_a_row_of_the_runs_page_shows_three_tags(page, up, screenshot):
    page.goto(f"{up.dagster}/runs")
    row = page.locator("tr, [class*=Row]", has_text="mlflow/version: 3").last
    row.wait_for()
    screenshot("runs")


def test_such_a_run_is_re_executed_from_its_page(page, up, screenshot):
    label = "__repository__@ml_repository"
    found = ask(up, BY_LABEL, job="wine_quality_model", label=label)
    run = found["pipelineRunsOrError"]["results"][0]["runId"]
    page.goto(f"{up.dagster}/runs/{run}")
    screenshot("run-of-a-command")
    page.get_by_role("button", name=re.compile("Re-execute")).first.click()
    screenshot("re-execute")
