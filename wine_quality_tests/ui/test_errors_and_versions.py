"""In a browser, on each version: what people see of a run that failed, of one that is refused, and
of one that goes on with another's model without naming its version."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

import pytest
import requests
import yaml

from wine_quality_tests.support.servers import await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

# Which digit is the last differs among the versions' libraries.
RMSE = "0.79316402292768"
NOWHERE = "http://127.0.0.1:9"
SENTENCE = (
    f"resources.mlflow.config.tracking_uri is {NOWHERE}, which is not the server of MLflow {{}} "
    "here, or has another user or password."
)
LAUNCHPAD = "{}/locations/ml_repository/jobs/{}/playground/setup?config={}"


def mlflow(**fields: Any) -> dict[str, Any]:
    return {"resources": {"mlflow": {"config": fields}}}


def open_launchpad(page, up, config: dict[str, Any], job: str = "wine_quality_model") -> None:
    page.goto(LAUNCHPAD.format(up.dagster, job, quote(yaml.safe_dump(config))))


def launch(page, up, config: dict[str, Any]) -> str:
    """The run, when it has ended."""
    before = {run["runId"] for run in runs(up)}
    open_launchpad(page, up, config)
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    return ended(up, before)["runId"]


def ended(up, before: set[str]) -> dict[str, str]:
    """The run that has come since, when it has ended."""

    def look() -> dict[str, str] | None:
        new = [run for run in runs(up) if run["runId"] not in before]
        return new[0] if new and new[0]["status"] in ("SUCCESS", "FAILURE") else None

    await_condition(lambda: look() is not None, "the run to end", 120)
    run = look()
    assert run is not None
    return run


def runs(up) -> list[dict[str, str]]:
    """The newest first."""
    query = "{ runsOrError { ... on Runs { results { runId status } } } }"
    answer = requests.post(f"{up.dagster}/graphql", json={"query": query}, timeout=30)
    return answer.json()["data"]["runsOrError"]["results"]


def logged(page, up, run_id: str, event_type: str) -> str:
    """The page of a run, with the log's rows of one type."""
    page.goto(f"{up.dagster}/runs/{run_id}?logs=type:{event_type}")
    page.get_by_text(event_type, exact=True).first.wait_for()
    return page.locator("body").inner_text()


def test_a_part_of_the_graph_follows_the_version_of_its_model(page, up, mlflow_version, screenshot):
    key = mlflow_version.key
    launch(page, up, mlflow(version=key))
    before = {run["runId"] for run in runs(up)}
    page.goto(f"{up.dagster}/assets/evaluation_metrics")
    page.get_by_role("button", name=re.compile("Materialize")).first.click()
    run = ended(up, before)
    logged(page, up, run["runId"], "ENGINE_EVENT")
    page.get_by_text(f"goes on with MLflow {key}, the version of elasticnet_model").first.wait_for()
    screenshot(f"follows-{key}")
    assert run["status"] == "SUCCESS"
    page.goto(f"{up.dagster}/assets/evaluation_metrics")
    page.get_by_text(RMSE).first.wait_for()
    page.get_by_text(run["runId"][:8]).first.wait_for()


def test_the_run_failure_says_why(page, up, mlflow_version, screenshot):
    run_id = launch(page, up, mlflow(version=mlflow_version.key, tracking_uri=NOWHERE))
    shown = logged(page, up, run_id, "RUN_FAILURE")
    screenshot(f"run-failure-{mlflow_version.key}")
    before, _, after = shown.partition(SENTENCE.format(mlflow_version.key))
    assert after, shown
    # Dagster's own words, and the traceback, come below it.
    assert "resource_fn" not in before
    assert "Traceback" not in before


def test_bad_values_are_refused_before_there_is_a_run(page, up, screenshot):
    before = runs(up)
    bad = {"resources": {"hyperparameters": {"config": {"alpha": -1}}}}
    open_launchpad(page, up, bad)
    page.get_by_text("No errors").wait_for()
    page.get_by_role("button", name="Launch Run").click()
    page.get_by_text("alpha is -1.0; it must be at least 0").first.wait_for()
    screenshot("refused")
    open_launchpad(page, up, mlflow(version="2.5"))
    page.get_by_text('(one of "1.26", "2.1.1", "3"; quote it)').first.wait_for()
    screenshot("unknown-version")
    open_launchpad(page, up, mlflow(version=1.26))
    page.get_by_text('(one of "1.26", "2.1.1", "3"; quote it)').first.wait_for()
    assert runs(up) == before


def test_the_launchpad_says_how_a_number_is_written(page, up, screenshot):
    open_launchpad(page, up, {"resources": {"hyperparameters": {"config": {"alpha": "1e-3"}}}})
    hint = 'resources.hyperparameters.config.alpha is "1e-3", which YAML reads as text; write 0.001'
    page.get_by_text(hint).first.wait_for()
    screenshot("number-hint")
    page.get_by_text("Invalid scalar at path root:resources").first.wait_for()
