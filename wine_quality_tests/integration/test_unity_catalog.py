"""The whole job with models in Unity Catalog: MLflow's real client of it, and a stand-in."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.unity_catalog import UnityCatalog
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(500)]

MODEL = "main.cellar.elasticnet_wine"


@pytest.fixture(scope="module")
def catalog(tmp_path_factory) -> Iterator[UnityCatalog]:
    folder = tmp_path_factory.mktemp("unity-catalog")
    behind = MlflowServer(MLFLOW_VERSIONS["3"], folder)
    catalog = UnityCatalog(behind, folder / "files")
    yield catalog
    catalog.stop()
    behind.stop()


def test_train_register_promote_and_roll_back(
    home, catalog, mlflow_server, tmp_path: Path, monkeypatch
):
    for name, value in catalog.variables.items():
        monkeypatch.setenv(name, value)
    runs = mlflow_server(MLFLOW_VERSIONS["3"])
    config = tmp_path / "run.yaml"
    config.write_text(
        f"resources: {{mlflow: {{config: {{registered_model_name: {MODEL}, "
        "experiment_name: /Users/someone@example.org/wine}}}\n"
    )

    def command(what: str, *options: str) -> str:
        where = ("--tracking-uri", runs.uri, "--registry-uri", "databricks-uc")
        named = () if what == "image" else ("--config", str(config))
        done = run_command(what, "--mlflow", "3", *where, *named, *options)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    assert "is the first champion" in command("run", "--alpha", "0.5")
    assert catalog.behind.holder(MODEL, "champion") == "1"
    output = command("run", "--alpha", "0.1")
    assert "takes the place of version 1" in output
    assert catalog.behind.holder(MODEL, "champion") == "2"
    command("rollback")
    assert catalog.behind.holder(MODEL, "champion") == "1"
    command("promote", "--version", "2")
    assert catalog.behind.holder(MODEL, "champion") == "2"
    context = tmp_path / "context"
    command("image", "--model", MODEL, "--no-build", "--output", str(context))
    served = json.loads(next(context.rglob("served-model.json")).read_text())
    assert served["version"] == "2"
    command("retention", "--days", "1")

    assert runs.versions(MODEL) == []
    assert (catalog.folder / "Models/main/cellar/elasticnet_wine/2/MLmodel").exists()
    assert any("create-download-url" in call for call in catalog.calls)
    assert catalog.refused == []
