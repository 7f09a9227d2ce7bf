"""A part of the graph finds the run that trained the model; a retry makes no second version."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.slow


def test_subset_resumes_the_training_run_and_registers_once(home):
    from dagster import DagsterInstance, materialize
    from mlflow.tracking import MlflowClient

    from wine_quality.assets import data, model
    from wine_quality.definitions import defs

    assets = [
        data.raw_wine_csv,
        data.train_test_split,
        model.elasticnet_model,
        model.evaluation_metrics,
        model.registered_model,
    ]
    with DagsterInstance.ephemeral() as instance:

        def run(*selection):
            return materialize(
                assets,
                instance=instance,
                resources=dict(defs.resources or {}),
                selection=list(selection) or None,
            )

        assert run().success
        assert run(model.evaluation_metrics, model.registered_model).success
    client = MlflowClient(f"sqlite:///{home / 'mlflow-3' / 'mlflow.db'}")
    experiment = client.get_experiment_by_name("wine_quality_experiment1")
    assert experiment is not None
    [tracked] = client.search_runs([experiment.experiment_id])
    assert tracked.info.status == "FINISHED"
    assert len(client.search_model_versions("name='ElasticnetWineModel'")) == 1
