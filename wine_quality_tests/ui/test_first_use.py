"""Versions that are not built, picked at the UI: uv builds them, and the run's page says so."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments import build
from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    MLFLOW_VERSIONS,
    environments_root,
    get_version,
)
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.ui.conftest import Up
from wine_quality_tests.ui.test_runs_of_commands import LAUNCH, ask, runs_of, tags_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

LOG = """
query ($run: ID!) { logsForRun(runId: $run) { ... on EventConnection {
  events { ... on MessageEvent { message } } } } }"""
OTHERS = [
    version.key
    for version in MLFLOW_VERSIONS.values()
    if version.key != DEFAULT_VERSION and version.python.exists()
]


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Iterator[Path]:
    """With environments beside it, of which only the default version's is built."""
    root = tmp_path_factory.mktemp("environments")
    built = get_version(DEFAULT_VERSION).directory.resolve()
    (root / built.name).symlink_to(built)
    before = os.environ.get("WINE_QUALITY_ENVIRONMENTS")
    os.environ["WINE_QUALITY_ENVIRONMENTS"] = str(root)
    yield tmp_path_factory.mktemp("home")
    del os.environ["WINE_QUALITY_ENVIRONMENTS"]
    if before is not None:
        os.environ["WINE_QUALITY_ENVIRONMENTS"] = before


def test_a_version_that_is_not_built_is_built_by_the_run(page, up, screenshot):
    launched = {}
    for key in OTHERS:
        selector = {
            "repositoryLocationName": "ml_repository",
            "repositoryName": "__repository__",
            "jobName": "wine_quality_model",
        }
        config = {"resources": {"mlflow": {"config": {"version": key}}}}
        answer = ask(up, LAUNCH, run={"selector": selector, "runConfigData": config})
        launched[key] = answer["launchRun"]["run"]["runId"]
    for key, run in launched.items():
        building = f"Building the environment of MLflow {key}"
        await_condition(lambda run=run, text=building: text in log_of(up, run), building, 300)
        # The page draws only the rows in view, and a run that goes on scrolls.
        page.goto(f"{up.dagster}/runs/{run}?logs=Building")
        page.get_by_text(building).first.wait_for()
        screenshot(f"first-use-{key}")

    def ended() -> bool:
        statuses = [run["status"] for run in runs_of(up, "wine_quality_model")]
        assert "FAILURE" not in statuses
        return statuses == ["SUCCESS"] * len(OTHERS)

    await_condition(ended, "the runs", 600)
    found = {
        tags_of(run)["mlflow/version"]: run["runId"] for run in runs_of(up, "wine_quality_model")
    }
    assert found == launched
    for key, run in launched.items():
        assert build.is_complete(get_version(key))
        assert (environments_root() / f"build-mlflow-{key}.log").exists()
        assert f"The environment of MLflow {key} is ready.\n" in log_of(up, run)


def log_of(up: Up, run: str) -> str:
    """The messages of a run's log so far, a line each."""
    events = ask(up, LOG, run=run)["logsForRun"]["events"]
    return "".join(event.get("message", "") + "\n" for event in events)
