"""Databricks' addresses, pages and names. No workspace was at hand; none is asked here."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.policy.names import BadNameError
from wine_quality.tracking.connection import connect, tracking_settings
from wine_quality.tracking.registry.loadable import loadable_formats
from wine_quality.tracking.resource import MlflowTracker, VersionKey
from wine_quality.tracking.servers.databricks import (
    check_experiment_path,
    check_unity_catalog_name,
    is_databricks,
    is_unity_catalog,
    registry_in_use,
    workspace_url,
)
from wine_quality.tracking.servers.pages import pages_of
from wine_quality.tracking.servers.server_check import TrackingServerError

HOST = "https://adb-1.2.azuredatabricks.net"
PROFILES = """[DEFAULT]
host = https://default.cloud.databricks.com/
token = x%y
[prod]
host = prod.cloud.databricks.com
[broken]
token = z
"""


@pytest.fixture(autouse=True)
def profiles(home, tmp_path: Path, monkeypatch) -> None:
    for name in ("HOST", "CONFIG_PROFILE"):
        monkeypatch.delenv(f"DATABRICKS_{name}", raising=False)
    (tmp_path / "profiles").write_text(PROFILES)
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", str(tmp_path / "profiles"))


def test_which_addresses_mean_it():
    for uri in ("databricks", "databricks://prod", "databricks-uc", "databricks-uc://prod"):
        assert is_databricks(uri)
        assert is_unity_catalog(uri) == ("-uc" in uri)
    for uri in ("", "http://databricks", "databricksx", "sqlite:///databricks"):
        assert not is_databricks(uri) and not is_unity_catalog(uri)


def test_mlflow_3_registers_in_unity_catalog():
    from mlflow.tracking._model_registry.utils import _get_default_registry_uri_for_tracking_uri

    for uri in ("databricks", "databricks://prod"):
        assert registry_in_use("3", uri, "") == _get_default_registry_uri_for_tracking_uri(uri)
        assert registry_in_use("2.1.1", uri, "") == uri
    assert registry_in_use("3", "databricks", "http://models") == "http://models"
    workspace = tracking_settings(MLFLOW_VERSIONS["3"], "databricks", "databricks")
    assert workspace.registry_in_use == "databricks"


def test_another_mlflow_3_of_the_table_does_so_too(monkeypatch):
    """As `make add-mlflow VERSION=3.1.4` enters one."""
    another = replace(MLFLOW_VERSIONS["3"], key="3.1.4", client="3.1.4")
    monkeypatch.setitem(MLFLOW_VERSIONS, another.key, another)
    monkeypatch.setenv("MLFLOW_WORKSPACE", "red")
    assert tracking_settings(another, "databricks").registry_in_use == "databricks-uc"
    assert tracking_settings(another, "http://localhost:1").workspace == "red"
    assert loadable_formats(another.key, "skops") == loadable_formats("3", "skops")


def test_the_workspace(monkeypatch):
    assert workspace_url("databricks") == "https://default.cloud.databricks.com"
    assert workspace_url("databricks-uc://prod") == "https://prod.cloud.databricks.com"
    assert workspace_url("databricks://broken") == workspace_url("databricks://none") == ""
    monkeypatch.setenv("DATABRICKS_CONFIG_PROFILE", "prod")
    assert workspace_url("databricks") == "https://prod.cloud.databricks.com"
    monkeypatch.setenv("DATABRICKS_HOST", f"{HOST}/?o=12")
    assert workspace_url("databricks") == HOST
    assert workspace_url("databricks://prod") == ""  # which of both depends on MLflow's version
    monkeypatch.setenv("DATABRICKS_HOST", "no host")
    monkeypatch.setenv("DATABRICKS_CONFIG_FILE", "/dev/null")
    assert workspace_url("databricks") == ""


def test_pages():
    workspace = pages_of("databricks", HOST)
    assert workspace.experiment("1") == f"{HOST}/ml/experiments/1"
    assert workspace.run("1", "ab") == f"{HOST}/ml/experiments/1/runs/ab"
    assert workspace.model_version("wine", "3") == f"{HOST}/ml/models/wine/versions/3"
    catalog = pages_of("databricks-uc", HOST)
    assert catalog.model_version("main.cellar.wine", "3") == (
        f"{HOST}/explore/data/models/main/cellar/wine/version/3"
    )
    server = pages_of("http://mlflow", "http://mlflow")
    assert server.run("1", "ab") == "http://mlflow/#/experiments/1/runs/ab"
    assert server.model_version("a b", "3") == "http://mlflow/#/models/a%20b/versions/3"
    team = pages_of("http://mlflow", "http://mlflow", "team a")
    assert team.run("1", "ab") == "http://mlflow/#/experiments/1/runs/ab?workspace=team%20a"
    for uri in ("databricks", "databricks-uc", "sqlite:///x"):
        nowhere = pages_of(uri, "")
        assert nowhere.run("1", "ab") == nowhere.model_version("m", "1") == ""


@pytest.mark.parametrize("version", ["1.26", "2.1.1", "3"])
def test_links_never_lead_to_a_server_of_this_platform(monkeypatch, version):
    """`make up` says in the environment where its own are."""
    monkeypatch.setenv("WINE_QUALITY_MLFLOW_UI_3", "http://localhost:5100")
    settings = tracking_settings(MLFLOW_VERSIONS[version], "databricks://prod")
    assert settings.ui_url == "https://prod.cloud.databricks.com"
    assert tracking_settings(MLFLOW_VERSIONS[version], "databricks://none").ui_url == ""
    apart = tracking_settings(MLFLOW_VERSIONS[version], "http://runs", "databricks-uc://prod")
    assert apart.ui_url == "http://runs"
    assert apart.registry_ui_url == "https://prod.cloud.databricks.com"


def test_names_of_unity_catalog():
    assert check_unity_catalog_name("main.cellar.wine_1", "f") == "main.cellar.wine_1"
    for name in ("ElasticnetWineModel", "cellar.wine", "a.b.c.d", "a..c", "a.b.c d"):
        with pytest.raises(BadNameError, match="catalog.schema.model"):
            check_unity_catalog_name(name, "registered_model_name")


@pytest.mark.parametrize("uris", [("databricks", None), ("http://runs", "databricks-uc")])
def test_a_name_that_it_refuses_is_refused_before_training(uris):
    tracker = MlflowTracker(version=VersionKey("3"), tracking_uri=uris[0], registry_uri=uris[1])
    with pytest.raises(BadNameError, match="resources.mlflow.config.registered_model_name"):
        tracker.connect(print)


def test_experiments_are_absolute_paths():
    check_experiment_path("/Users/someone@example.org/wine", "databricks")
    check_experiment_path("wine", "http://mlflow")
    with pytest.raises(BadNameError, match="absolute paths"):
        check_experiment_path("wine", "databricks://prod")


def test_an_older_client_does_not_know_unity_catalog(monkeypatch):
    monkeypatch.setattr("wine_quality.tracking.connection._require_client", lambda _: None)
    version = MLFLOW_VERSIONS["2.1.1"]
    settings = tracking_settings(version, "http://127.0.0.1:9", "databricks-uc")
    with pytest.raises(TrackingServerError, match='Pick resources.mlflow.config.version "3"'):
        connect(version, settings, print)
