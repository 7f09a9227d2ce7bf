"""Models registered on another MLflow server than runs are tracked on, by each version's client."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

POOR, BETTER = "0.5", "0.1"


@pytest.fixture(scope="module")
def registries(tmp_path_factory) -> Iterator[Callable[[MlflowVersion], MlflowServer]]:
    """An empty server of each version, for models only."""
    running: dict[str, MlflowServer] = {}

    def of(version: MlflowVersion) -> MlflowServer:
        if version.key not in running:
            folder = tmp_path_factory.mktemp("registry")
            running[version.key] = MlflowServer(version, folder)
        return running[version.key]

    yield of
    for server in running.values():
        server.stop()


def experiment(name: str) -> str:
    """A path, as those of Databricks are."""
    return f"/Users/someone@example.org/{name}"


@pytest.fixture
def name() -> str:
    return f"apart-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def server(mlflow_server, mlflow_version) -> MlflowServer:
    return mlflow_server(mlflow_version)


@pytest.fixture
def command(home, tmp_path: Path, server, name) -> Callable[..., str]:
    config = tmp_path / "run.yaml"
    fields = f"{{registered_model_name: {name}, experiment_name: {experiment(name)}}}"
    config.write_text(f"resources: {{mlflow: {{config: {fields}}}}}\n")

    def do(version: MlflowVersion, what: str, *options: str, ok: bool = True) -> str:
        arguments = (what, "--mlflow", version.key, "--tracking-uri", server.uri)
        if what != "image":
            arguments += ("--config", str(config))
        done = run_command(*arguments, *options)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    return do


def test_all_that_is_done_with_a_version(
    command, server, mlflow_version, registries, name, tmp_path, monkeypatch
):
    """By the option, and by MLflow's own variable."""
    registry = registries(mlflow_version)
    there = ("--registry-uri", registry.uri)
    output = command(mlflow_version, "run", "--alpha", POOR, *there)
    assert "first champion" in output
    assert server.statuses(experiment(name)) == ["FINISHED"]
    assert registry.runs(experiment(name)) == []

    monkeypatch.setenv("MLFLOW_REGISTRY_URI", registry.uri)
    output = command(mlflow_version, "run", "--alpha", BETTER)
    assert "takes the place of version 1" in output
    assert registry.holder(name, "champion") == "2"
    command(mlflow_version, "rollback")
    assert registry.holder(name, "champion") == "1"
    command(mlflow_version, "promote", "--version", "2")
    assert registry.holder(name, "champion") == "2"
    command(mlflow_version, "deploy", "--version", "1")
    context = tmp_path / "context"
    image = ("--model", name, "--no-build", "--output", str(context))
    command(mlflow_version, "image", *image)
    served = json.loads(next(context.rglob("served-model.json")).read_text())
    assert served["version"] == "2"

    assert server.versions(name) == []
    for version in registry.versions(name):
        assert version["source"] == f"runs:/{version['run_id']}/model"
        assert version["run_link"].startswith(f"{server.uri}/#/experiments/")


@pytest.mark.parametrize("mlflow_version", ["3"], indirect=True)
def test_a_registry_that_does_not_fit_or_answer(command, mlflow_version, registries):
    other = registries(MLFLOW_VERSIONS["1.26"])
    output = command(mlflow_version, "run", "--registry-uri", other.uri, ok=False)
    assert f"the MLflow model registry {other.uri} runs MLflow 1.x" in output
    assert "another registry_uri" in output
    output = command(mlflow_version, "run", "--registry-uri", "http://127.0.0.1:9", ok=False)
    assert "http://127.0.0.1:9 (resources.mlflow.config.registry_uri) cannot be used" in output
    assert "Start it, or correct registry_uri" in output
