"""Servers that want credentials: they come from the environment, and are shown nowhere.

A proxy stands before the real server and asks for them, as the gateways before MLflow 1.26 and
2.1.1 do (neither has logins of its own).
"""

from __future__ import annotations

import base64
import uuid
from collections.abc import Iterator

import pytest

from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.warm_commands import run_command

pytestmark = pytest.mark.slow

USER, PASSWORD = "taster", "s3cret-word"
BASIC = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
BEARER = f"Bearer {PASSWORD}"


@pytest.fixture
def proxy(mlflow_version, mlflow_server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(mlflow_server(mlflow_version).uri)
    yield proxy
    proxy.stop()


def arguments(version, uri: str, name: str) -> list[str]:
    return ["--mlflow", version.key, "--tracking-uri", uri, "--experiment", name]


@pytest.mark.parametrize("kind", ["basic", "token"])
def test_credentials_from_the_environment(
    home, mlflow_version, mlflow_server, proxy, monkeypatch, kind
):
    name = f"{kind}-{uuid.uuid4().hex[:8]}"
    if kind == "basic":
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", USER)
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
    else:
        monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", PASSWORD)
    proxy.require(BASIC if kind == "basic" else BEARER)
    done = run_command("run", *arguments(mlflow_version, proxy.uri, name))
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    assert mlflow_server(mlflow_version).statuses(name) == ["FINISHED"]


def test_missing_credentials_are_named(home, mlflow_version, proxy):
    proxy.require(BASIC)
    done = run_command("run", *arguments(mlflow_version, proxy.uri, "nobody"))
    assert done.returncode == 1
    assert "401" in done.stderr
    assert "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD" in done.stderr
    assert "no MLflow run was made" in done.stderr


def test_a_password_in_the_address_is_not_shown(
    home, mlflow_version, mlflow_server, proxy, monkeypatch
):
    from dagster import DagsterEventType, DagsterInstance

    name = f"address-{uuid.uuid4().hex[:8]}"
    proxy.require(BASIC)
    # By the environment: what is typed into run config stays readable there.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", proxy.uri.replace("//", f"//{USER}:{PASSWORD}@"))
    done = run_command("run", "--mlflow", mlflow_version.key, "--experiment", name)
    assert done.returncode == 0, done.stderr
    assert PASSWORD not in done.stdout + done.stderr
    [tracked] = mlflow_server(mlflow_version).runs(name)
    assert tracked["info"]["status"] == "FINISHED"
    assert PASSWORD not in str(tracked)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    with DagsterInstance.get() as instance:
        [run] = instance.get_runs()
        assert PASSWORD not in str(run.tags)
        logs = instance.all_logs(run.run_id)
        assert any(e.dagster_event_type == DagsterEventType.ASSET_MATERIALIZATION for e in logs)
        assert not [entry for entry in logs if PASSWORD in str(entry)]
