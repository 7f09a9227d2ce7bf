"""Which server a run of a version goes to, and whose S3 keys its values are stored with."""

from __future__ import annotations

import pytest

from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.sources.s3 import assets_options
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.embedded_store import embedded_uri
from wine_quality.tracking.servers.links import mlflow_link

OWN, ALL = "http://two:5000", "http://all:5000"
EMBEDDED = "embedded"


@pytest.mark.parametrize(
    ("variables", "given", "uri", "shown"),
    [
        ({}, ALL, ALL, ALL),
        ({"MLFLOW_TRACKING_URI": ALL}, None, ALL, ALL),
        ({"WINE_QUALITY_MLFLOW_URI_2_1_1": OWN}, None, OWN, OWN),
        ({"WINE_QUALITY_MLFLOW_URI_2_1_1": OWN, "MLFLOW_TRACKING_URI": ALL}, None, OWN, OWN),
        (
            {"WINE_QUALITY_MLFLOW_URI_2_1_1": OWN, "WINE_QUALITY_MLFLOW_UI_2_1_1": "http://me:1"},
            None,
            OWN,
            "http://me:1",
        ),
        # Where the UI of another server is seen says nothing of this one.
        ({"WINE_QUALITY_MLFLOW_URI_2_1_1": OWN, "WINE_QUALITY_MLFLOW_UI": ALL}, None, OWN, OWN),
        ({"WINE_QUALITY_MLFLOW_URI_1_26": OWN, "MLFLOW_TRACKING_URI": ALL}, None, ALL, ALL),
        ({"WINE_QUALITY_MLFLOW_URI_2_1_1": OWN}, ALL, ALL, ALL),
        # The embedded store is seen below Dagster's own address, whatever its port will be.
        ({}, None, EMBEDDED, "/mlflow/2.1.1"),
        # Where another version's is seen says nothing of this one.
        ({"WINE_QUALITY_MLFLOW_UI": ALL}, None, EMBEDDED, "/mlflow/2.1.1"),
        ({"WINE_QUALITY_MLFLOW_UI_2_1_1": OWN}, None, EMBEDDED, OWN),
        # No UI shows any other file.
        ({"WINE_QUALITY_ALLOWED_TRACKING_URIS": "*"}, "sqlite:////x.db", "sqlite:////x.db", ""),
        # Nor a managed one.
        (
            {"MLFLOW_TRACKING_URI": "databricks", "WINE_QUALITY_MLFLOW_UI_2_1_1": OWN},
            None,
            "databricks",
            "",
        ),
    ],
)
def test_the_server_of_a_run(home, monkeypatch, variables, given, uri, shown):
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    settings = MlflowTracker(tracking_uri=given)._settings(get_version("2.1.1"))
    expected = embedded_uri("2.1.1") if uri is EMBEDDED else uri
    assert (settings.tracking_uri, settings.ui_url) == (expected, shown)


def test_links_that_cannot_work_are_not_made():
    assert mlflow_link("/mlflow/3/#/models/a/versions/1").url == "/mlflow/3/#/models/a/versions/1"
    assert "ui_url" in mlflow_link("").text


def test_values_have_keys_of_their_own(home, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ASSETS", "s3://bucket/assets")
    for name, value in {"KEY": "k", "SECRET": "s", "ENDPOINT": "http://s3:9000"}.items():
        monkeypatch.setenv(f"WINE_QUALITY_ASSETS_{name}", value)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "another")
    options = assets_options()
    assert (options["key"], options["secret"]) == ("k", "s")
    assert options["endpoint_url"] == "http://s3:9000"
    base = PlainFormatIOManager()._base()
    assert str(base) == "s3://bucket/assets"
    assert str(PlainFormatIOManager(base_path="s3://other/x")._base()) == "s3://other/x"


def test_without_them_the_aws_variables_count(monkeypatch):
    for name in ("KEY", "SECRET", "ENDPOINT", "REGION"):
        monkeypatch.delenv(f"WINE_QUALITY_ASSETS_{name}", raising=False)
    assert not {"key", "secret", "endpoint_url", "client_kwargs"} & set(assets_options())
