"""Answers of Dagster's real webserver to the Launchpad for mistakes in run config.

The sentences are the command line's, see unit/cli/test_config_mistakes.py.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

VALIDATE = """query Valid($config: RunConfigData!, $job: PipelineSelector!) {
  isPipelineConfigValid(pipeline: $job, runConfigData: $config, mode: "default") {
    __typename
    ... on RunConfigValidationInvalid { errors { message reason } }
    ... on PythonError { message }
} }"""
LAUNCH = """mutation Launch($config: RunConfigData!, $job: JobOrPipelineSelector!) {
  launchRun(executionParams: {selector: $job, runConfigData: $config, mode: "default"}) {
    __typename
    ... on RunConfigValidationInvalid { errors { message reason } }
    ... on PythonError { message }
} }"""
JOB = {
    "repositoryLocationName": "ml_repository",
    "repositoryName": "__repository__",
    "pipelineName": "wine_quality_model",
}
ALPHA = "resources: {hyperparameters: {config: {alpha: %s}}}"
HYPERPARAMETER = "resources.hyperparameters.config.alpha"


@pytest.fixture(scope="module")
def graphql(tmp_path_factory) -> Iterator[str]:
    """The address at which the project's webserver answers."""
    home = tmp_path_factory.mktemp("webserver")
    dagster_home = home / "dagster"
    dagster_home.mkdir()
    (dagster_home / "dagster.yaml").symlink_to(PROJECT_ROOT / "dagster.yaml")
    port, log = free_port(), home / "log"
    variables = {"DAGSTER_HOME": str(dagster_home), "WINE_QUALITY_HOME": str(home)}
    command = [sys.executable, "-m", "wine_quality.webserver", "-p", str(port)]
    process = subprocess.Popen(
        dying_with_us(*command, "-w", PROJECT_ROOT / "workspace.yaml"),
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables},
        cwd=PROJECT_ROOT,
    )
    url = f"http://127.0.0.1:{port}/graphql"

    def answers() -> bool:
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            return _ask(url, VALIDATE, "{}")["__typename"] == "PipelineConfigValidationValid"
        except requests.RequestException:
            return False

    try:
        await_condition(answers, "the webserver")
        yield url
    finally:
        process.terminate()
        process.wait(30)


def _ask(url: str, query: str, config: str) -> dict[str, Any]:
    body = {"query": query, "variables": {"config": config, "job": JOB}}
    answer = requests.post(url, json=body, timeout=60)
    return next(iter(answer.json()["data"].values()))


@pytest.mark.parametrize("query", [VALIDATE, LAUNCH], ids=["typed", "launched"])
@pytest.mark.parametrize(
    ("config", "hint"),
    [
        (
            ALPHA % "1e-3",
            f'{HYPERPARAMETER} is "1e-3", which YAML reads as text; write 0.001 or 1.0e-3.',
        ),
        (ALPHA % '"0,5"', f'{HYPERPARAMETER} is "0,5", which is text; write 0.5, with a point.'),
        (
            "ops: {read_wine_quality_csv: {}}",
            "ops.read_wine_quality_csv is not of this job: it is called raw_wine_csv here.",
        ),
        ("ops: {raw_wine_cvs: {}}", "ops.raw_wine_cvs is unknown; did you mean raw_wine_csv?"),
        (
            "ops: {raw_wine_csv: {config: {csv_ulr: x, atempts: 1}}}",
            "ops.raw_wine_csv.config.atempts is unknown; did you mean attempts? "
            "ops.raw_wine_csv.config.csv_ulr is unknown; did you mean csv_url?",
        ),
        (
            "ops: {raw_wine_csv: {config: {atempts: 1}}}",
            "ops.raw_wine_csv.config.atempts is unknown; did you mean attempts?",
        ),
        ("resource: {}", "resource is unknown; did you mean resources?"),
    ],
)
def test_the_hint_stands_before_dagsters_sentence(graphql, query, config, hint):
    found = _ask(graphql, query, config)
    assert found["__typename"] == "RunConfigValidationInvalid", found
    [error] = found["errors"]
    text, _, sentence = error["message"].partition("\n")
    assert text == hint
    assert sentence.startswith(("Invalid scalar ", "Received unexpected config entr"))


def test_a_mistake_without_a_hint_keeps_dagsters_sentence(graphql):
    [error] = _ask(graphql, VALIDATE, ALPHA % "much")["errors"]
    assert error["message"].startswith("Invalid scalar at path root:resources")
