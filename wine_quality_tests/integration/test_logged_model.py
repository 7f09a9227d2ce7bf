"""MLflow 3's page of a model: the metrics and data sets of the logged model, on a real server."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
from mlflow.tracking import MlflowClient

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tracking.backends.explicit_run_tracker import MODEL_VERSIONS_TAG
from wine_quality.tracking.connection import connect, tracking_settings
from wine_quality.tracking.servers.embedded_store import embedded_uri
from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRAIN, TEST = "wine_quality_train", "wine_quality_test"


@pytest.fixture
def registry(home, mlflow_server, tmp_path: Path) -> Registry:
    version = MLFLOW_VERSIONS["3"]
    registry = Registry(version, mlflow_server(version), tmp_path)
    registry.name = f"O'Brien 100% 🍷 {uuid.uuid4().hex[:8]}"
    return registry


def test_metrics_and_data_sets_of_the_logged_model(registry):
    for alpha in ("0.5", "0.1", "0.3"):
        registry.train(alpha)
    client = MlflowClient(registry.server.uri)
    experiment = client.get_experiment_by_name(registry.name).experiment_id
    ranked = client.search_logged_models(
        [experiment], order_by=[{"field_name": "metrics.rmse", "ascending": True}]
    )
    assert [model.params["alpha"] for model in ranked] == ["0.1", "0.3", "0.5"]
    better = client.search_logged_models([experiment], "metrics.rmse < 0.74")
    assert [model.params["alpha"] for model in better] == ["0.1"]
    for model in ranked:
        run = client.get_run(model.source_run_id)
        metrics = {metric.key: metric for metric in model.metrics}
        assert sorted(metrics) == ["mae", "r2", "rmse", "train_rmse"]
        assert {key: found.value for key, found in metrics.items()} == run.data.metrics
        contexts = {
            (entry.dataset.name, entry.dataset.digest): entry.tags[0].value
            for entry in run.inputs.dataset_inputs
        }
        assert {name for name, _ in contexts} == {TRAIN, TEST}
        for key, found in metrics.items():
            of = contexts[(found.dataset_name, found.dataset_digest)]
            assert (found.dataset_name, of) == (
                (TRAIN, "training") if key == "train_rmse" else (TEST, "test")
            )
        (noted,) = json.loads(model.tags[MODEL_VERSIONS_TAG])
        (version,) = client.search_model_versions(f"run_id = '{model.source_run_id}'")
        assert (noted["name"], str(noted["version"])) == (registry.name, str(version.version))
    registered = client.get_model_version_by_alias(registry.name, "champion")
    assert (registered.version, registered.source) == ("2", f"models:/{ranked[0].model_id}")


def test_the_page_of_a_model_in_the_embedded_store_names_its_version(home, tmp_path, monkeypatch):
    """No server stands between that would note it by itself."""
    done = run_command("run", "--mlflow", "3", timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    client = MlflowClient(embedded_uri("3"))
    (experiment,) = client.search_experiments(filter_string="name = 'wine_quality_experiment1'")
    (model,) = client.search_logged_models([experiment.experiment_id])
    assert json.loads(model.tags[MODEL_VERSIONS_TAG]) == [
        {"name": "ElasticnetWineModel", "version": "1"}
    ]

    # Its files are had without its model, for which MLflow 3 would read all versions there are.
    tracker = connect(MLFLOW_VERSIONS["3"], tracking_settings(MLFLOW_VERSIONS["3"]), print)
    monkeypatch.delattr(MlflowClient, "get_registered_model")
    files = tracker.download_version("ElasticnetWineModel", "1", tmp_path / "files")
    assert (files / "MLmodel").exists()
