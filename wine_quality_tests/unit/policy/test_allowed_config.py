"""Run config may name neither any variable nor any tracking server."""

from __future__ import annotations

import pytest

from wine_quality.execution.config_variables import (
    ForbiddenVariableError,
    check_config_variables,
)
from wine_quality.policy.settings import CONFIG_VARIABLES, EVERYTHING, TRACKING_URIS
from wine_quality.tracking.servers.addresses import (
    ForbiddenServerError,
    allowed_registry_uri,
    allowed_tracking_uri,
)

SECRET = "WINE_QUALITY_ASSETS_SECRET"


@pytest.fixture(autouse=True)
def restricted(monkeypatch: pytest.MonkeyPatch, _whoever_tests_may_read_all, home) -> None:
    for name in EVERYTHING:
        monkeypatch.delenv(name)


def at_csv_url(name: str) -> dict:
    return {"ops": {"raw_wine_csv": {"config": {"csv_url": {"env": name}}}}}


def at_tracking_uri(name: str) -> dict:
    return {"resources": {"mlflow": {"config": {"tracking_uri": {"env": name}}}}}


@pytest.mark.parametrize(
    "config",
    [
        at_csv_url(SECRET),
        at_csv_url("MLFLOW_TRACKING_URI"),  # it may hold a password
        at_tracking_uri(SECRET),
        at_tracking_uri("MLFLOW_TRACKING_PASSWORD"),
        {"ops": {"sweep_points": {"config": {"points": [{"alpha": {"env": SECRET}}]}}}},
    ],
)
def test_variables_that_run_config_may_not_name(monkeypatch, config):
    with pytest.raises(ForbiddenVariableError, match=rf"\${CONFIG_VARIABLES} \(now: none\)"):
        check_config_variables(config)
    monkeypatch.setenv(CONFIG_VARIABLES, f"{SECRET}, MLFLOW_TRACKING_URI,MLFLOW_TRACKING_PASSWORD")
    check_config_variables(config)


def test_variables_that_it_may_name():
    check_config_variables({})
    check_config_variables(at_tracking_uri("MLFLOW_TRACKING_URI"))
    check_config_variables(at_tracking_uri("WINE_QUALITY_MLFLOW_URI_2_1_1"))
    check_config_variables({"ops": {"raw_wine_csv": {"config": {"csv_url": "env"}}}})


def test_a_run_that_names_one_fails_without_its_value(monkeypatch, tmp_path):
    from dagster import DagsterInstance, execute_job, reconstructable

    from wine_quality.cli.jobs import main_job

    monkeypatch.setenv(SECRET, "cAnArY")
    with DagsterInstance.local_temp(str(tmp_path)) as instance:
        done = execute_job(reconstructable(main_job), instance, run_config=at_csv_url(SECRET))
        assert not done.success
        logs = str(instance.all_logs(done.run_id))
    assert f"names the variable {SECRET}, which run config may not read" in logs
    assert "cAnArY" not in logs


def test_servers_that_run_config_may_not_name(monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_MLFLOW_URI_3", "https://u:pw@mlflow.example.org/")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    own = "https://u:pw@mlflow.example.org/"
    for uri in (
        own,
        "https://mlflow.example.org",
        "https://MLflow.example.org:443/",
        "https://u:pw@mlflow.example.org",
    ):
        assert allowed_tracking_uri(uri, "3") == own
    assert allowed_tracking_uri("http://other:5000/", "3") == "http://other:5000"
    for uri in (
        "https://evil.test",
        "https://mlflow.example.org.evil.test",
        "https://mlflow.example.org/x",
        "http://mlflow.example.org",
        "https://u:other@mlflow.example.org",
        "https://mlflow.example.org?x",
        "sqlite:////etc/x.db",
        "/etc",
    ):
        with pytest.raises(ForbiddenServerError, match=rf"\${TRACKING_URIS} \(now: none\)"):
            allowed_tracking_uri(uri, "3")
    with pytest.raises(ForbiddenServerError):
        allowed_tracking_uri("https://mlflow.example.org", "2.1.1")
    monkeypatch.setenv(TRACKING_URIS, "https://evil.test")
    allowed_tracking_uri("https://evil.test/", "3")


def test_registries_that_run_config_may_not_name(monkeypatch):
    """Clients send a registry the credentials of the tracking server."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://other:5000")
    with pytest.raises(ForbiddenServerError, match="config.registry_uri is https://models.test"):
        allowed_registry_uri("https://models.test", "3")
    monkeypatch.setenv("MLFLOW_REGISTRY_URI", "https://u:pw@models.test")
    assert allowed_registry_uri("https://models.test/", "3") == "https://u:pw@models.test"
    assert allowed_registry_uri("http://other:5000", "3") == "http://other:5000"
    for uri in ("https://models.test:8443", "https://evil.test", "databricks-uc", "/etc"):
        with pytest.raises(ForbiddenServerError, match=rf"\${TRACKING_URIS} \(now: none\)"):
            allowed_registry_uri(uri, "3")
    with pytest.raises(ForbiddenServerError):  # runs are tracked elsewhere
        allowed_tracking_uri("https://models.test", "3")
    monkeypatch.setenv(TRACKING_URIS, "https://evil.test")
    allowed_registry_uri("https://evil.test/", "3")


def test_a_registry_that_is_set_for_one_run_is_not_the_platforms(monkeypatch, tmp_path):
    """MLflow 3 writes it into the environment, by which the next run would be allowed to use it."""
    from mlflow import get_registry_uri

    from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
    from wine_quality.tracking.connection import connect, tracking_settings

    monkeypatch.delenv("MLFLOW_REGISTRY_URI", raising=False)
    stores = [f"sqlite:///{tmp_path}/{name}.db" for name in ("runs", "models")]
    connect(MLFLOW_VERSIONS["3"], tracking_settings(MLFLOW_VERSIONS["3"], *stores), print)
    assert get_registry_uri() == stores[1]
    with pytest.raises(ForbiddenServerError):
        allowed_registry_uri(stores[1], "3")
    connect(MLFLOW_VERSIONS["3"], tracking_settings(MLFLOW_VERSIONS["3"], stores[0]), print)
    assert get_registry_uri() == stores[0]
