"""MLflow's own basic-auth app on a real server: users who are no admins, with and without leave.

Only MLflow 3's server has the app here: that of 2.1.1 came before it, and its client speaks with
this one. Permissions are the app's own, by default READ.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality_tests.support.auth_server import AuthServer
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

CLIENTS = pytest.mark.parametrize("mlflow_version", ["3", "2.1.1"], indirect=True)
POOR, BETTER = "0.5", "0.1"


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[AuthServer]:
    server = AuthServer(MLFLOW_VERSIONS["3"], tmp_path_factory.mktemp("basic-auth"))
    yield server
    server.stop()


@pytest.fixture
def name() -> str:
    """Of an experiment and a registered model that nobody has made yet."""
    return f"auth-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def command(
    home, monkeypatch, tmp_path: Path, server: AuthServer, mlflow_version: MlflowVersion, name: str
) -> Callable[..., str]:
    config = tmp_path / "run.yaml"
    fields = f"{{registered_model_name: {name}, experiment_name: {name}}}"
    config.write_text(f"resources: {{mlflow: {{config: {fields}}}}}\n")

    def do(user: Mapping[str, str], what: str, *options: str, ok: bool = True) -> str:
        for variable, value in user.items():
            monkeypatch.setenv(variable, value)
        arguments = (what, "--mlflow", mlflow_version.key, "--tracking-uri", server.uri)
        done = run_command(*arguments, "--config", str(config), *options)
        assert (done.returncode == 0) == ok, done.stdout + done.stderr
        return done.stdout + done.stderr

    return do


def holder(server: AuthServer, version: MlflowVersion, name: str) -> str | None:
    if version.key == "3":
        return server.holder(name, "champion")
    [found] = [v["version"] for v in server.versions(name) if v["current_stage"] == "Production"]
    return found


@CLIENTS
def test_two_users_with_other_permissions(server, mlflow_version, command, name):
    """The first makes experiment and model, and so may do all; the second only what was granted:
    EDIT, which includes no deleting."""
    first, second = f"{name}-first", f"{name}-second"
    anna, bert = server.add_user(first), server.add_user(second)
    output = command(anna, "run", "--alpha", POOR)
    assert "first champion" in output
    assert server.statuses(name) == ["FINISHED"]
    assert holder(server, mlflow_version, name) == "1"

    refused = command(bert, "run", ok=False)
    assert f"may not make runs in the experiment '{name}'" in refused
    assert "can grant the permission EDIT" in refused
    assert "Start it" not in refused
    assert server.statuses(name) == ["FINISHED"]

    query = f"experiments/get-by-name?experiment_name={name}"
    experiment = server.get(query)["experiment"]["experiment_id"]
    server.grant(second, "experiment", experiment, "EDIT")
    refused = command(bert, "run", "--alpha", BETTER, ok=False)
    assert f"may not register a version of the registered model '{name}'" in refused
    assert [version["version"] for version in server.versions(name)] == ["1"]

    server.grant(second, "registered_model", name, "EDIT")
    output = command(bert, "run", "--alpha", BETTER)
    assert "takes the place of version 1" in output
    assert holder(server, mlflow_version, name) == "2"
    command(bert, "rollback")
    assert holder(server, mlflow_version, name) == "1"
    command(anna, "promote", "--version", "2")
    assert holder(server, mlflow_version, name) == "2"


@pytest.mark.parametrize("mlflow_version", ["3"], indirect=True)
def test_a_wrong_password_is_named(server, mlflow_version, command, name):
    user = {**server.add_user(name), "MLFLOW_TRACKING_PASSWORD": "another"}
    refused = command(user, "run", ok=False)
    assert "it answered 401" in refused
    assert "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in refused


def test_compare_shows_a_guarded_servers_run_once(server, home, monkeypatch, name):
    """Each of the clients that fit the server could read it; only that of its version does."""
    experiment = server.rest("experiments/create", name=name)["experiment_id"]
    run_id = server.rest("runs/create", experiment_id=experiment)["run"]["info"]["run_id"]
    metric = [{"key": "rmse", "value": 0.7, "timestamp": 1, "step": 0}]
    server.rest("runs/log-batch", run_id=run_id, metrics=metric)
    server.rest("runs/update", run_id=run_id, status="FINISHED", end_time=2)
    arguments = ("compare", "--json", "--tracking-uri", server.uri, "--experiment", name)
    refused = run_command(*arguments, timeout=120)
    assert refused.returncode == 1 and "MLFLOW_TRACKING_USERNAME" in refused.stderr, refused.stderr
    for variable, value in server.add_user(f"{name}-reader").items():
        monkeypatch.setenv(variable, value)
    done = run_command(*arguments, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    (shown,) = json.loads(done.stdout)["runs"]
    assert (shown["version"], shown["run_id"], shown["metrics"]) == ("3", run_id, {"rmse": 0.7})
