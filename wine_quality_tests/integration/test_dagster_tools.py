"""Dagster's own tools over a checkout: ``dg`` reads pyproject.toml, ``dagster`` workspace.yaml."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port

pytestmark = pytest.mark.slow

_LOCATIONS = """{ workspaceOrError { ... on Workspace { locationEntries { name
  locationOrLoadError { __typename ... on RepositoryLocation {
    repositories { jobs { name } } } } } } } }"""


def script(name: str) -> str:
    return str(Path(sys.executable).with_name(name))


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "dagster").mkdir()
    (tmp_path / "dagster" / "dagster.yaml").symlink_to(PROJECT_ROOT / "dagster.yaml")
    return {
        **os.environ,
        # dg starts `dagster`, and asks nobody whether there is a newer one.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
        "DAGSTER_HOME": str(tmp_path / "dagster"),
        "WINE_QUALITY_HOME": str(tmp_path),
        "DAGSTER_DG_UPDATE_CHECK_ENABLED": "0",
    }


def test_dg_checks_and_lists_the_definitions(variables):
    def dg(*arguments: str) -> str:
        done = subprocess.run(
            [script("dg"), *arguments],
            cwd=PROJECT_ROOT,
            env=variables,
            capture_output=True,
            text=True,
            timeout=200,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    dg("check", "defs")
    listed = json.loads(dg("list", "defs", "--json"))
    assert {"raw_wine_csv", "champion_model"} <= {asset["asset_key"] for asset in listed["assets"]}
    assert "wine_quality_model" in {job["name"] for job in listed["jobs"]}
    assert "mlflow" in {resource["name"] for resource in listed["resources"]}


@pytest.mark.parametrize("command", [("dg", "dev"), ("dagster", "dev")], ids=" ".join)
def test_the_development_servers_load_the_project(command, variables, tmp_path):
    port = free_port()
    log = tmp_path / "dev.log"
    process = subprocess.Popen(
        dying_with_us(script(command[0]), *command[1:], "-h", "127.0.0.1", "-p", str(port)),
        cwd=PROJECT_ROOT,
        env=variables,
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )

    def locations() -> list[dict]:
        request = urllib.request.Request(
            f"http://127.0.0.1:{port}/graphql",
            json.dumps({"query": _LOCATIONS}).encode(),
            {"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)["data"]["workspaceOrError"]["locationEntries"]

    def answers() -> bool:
        assert process.poll() is None, log.read_text()
        try:
            return all(entry["locationOrLoadError"] for entry in locations())
        except OSError:
            return False

    try:
        await_condition(answers, "the code location", 180)
        [entry] = locations()
    finally:
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.wait(60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    assert entry["name"] == "ml_repository"
    location = entry["locationOrLoadError"]
    assert location["__typename"] == "RepositoryLocation", location
    jobs = {job["name"] for job in location["repositories"][0]["jobs"]}
    assert {"wine_quality_model", "wine_quality_sweep"} <= jobs
