"""Batch predictions on each version's real server, by the command; and the labels that follow."""

from __future__ import annotations

import json
import uuid

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance, build_sensor_context

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG
from wine_quality_tests.integration.test_streamed_runs import predictions
from wine_quality_tests.support.generated_wines import write_wines
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]
CHECK = AssetCheckKey(AssetKey("batch_predictions"), "live_error")


@pytest.fixture
def command(home, tmp_path):
    """Runs a command with a registered model of the test's own."""

    def run(server, name: str, *arguments: str, key: str = "", fails: bool = False):
        config = tmp_path / "config.yaml"
        config.write_text(
            f"resources: {{mlflow: {{config: {{registered_model_name: {name}, "
            f"experiment_name: {name}}}}}}}"
        )
        picked = ("--mlflow", key) if key else ()
        done = run_command(
            *arguments, *picked, "--tracking-uri", server.uri, "--config", str(config)
        )
        assert (done.returncode != 0) is fails, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


def test_the_champion_scores_files_in_its_own_environment(
    command, mlflow_version, mlflow_server, tmp_path
):
    from wine_quality.paths import PACKAGED_RED_WINE

    server, name = mlflow_server(mlflow_version), f"batch-{uuid.uuid4().hex[:8]}"
    key = mlflow_version.key
    command(server, name, "run", key=key)
    out = tmp_path / "out.parquet"
    # No version is named: that of the champion is taken.
    output = command(server, name, "predict", str(PACKAGED_RED_WINE), "--out", str(out))
    assert f"Scoring rows with MLflow {key}, the version of champion_model" in output
    found = pd.read_parquet(out)
    assert list(found["row"]) == list(range(1, 1600))
    expected = predictions(mlflow_version, server.uri, name, "1", tmp_path)
    assert found["prediction"].to_numpy() == pytest.approx(expected, rel=1e-9)
    described = json.loads(pq.read_metadata(out).metadata[b"wine_quality.predictions"])
    [version] = server.versions(name)
    assert described["mlflow_run_id"] == version["run_id"]
    assert (described["version"], described["mlflow_version"]) == ("1", key)
    assert f"inputs         sha256 {described['inputs_sha256']}" in output
    assert len(server.runs(name)) == 1  # no MLflow run of its own


def test_labels_that_arrive_later_and_what_is_refused(
    command, mlflow_server, tmp_path, home, monkeypatch
):
    from dagster import execute_job, reconstructable

    from wine_quality.cli import jobs
    from wine_quality.defs.predictions.retraining_sensor import live_error_retraining

    version = MLFLOW_VERSIONS["3"]
    server, name = mlflow_server(version), f"labels-{uuid.uuid4().hex[:8]}"
    command(server, name, "run", key="3")
    write_wines(tmp_path / "rows.parquet", 5000, seed=3)
    wines = pd.read_parquet(tmp_path / "rows.parquet").assign(id=range(5000))
    wines.loc[17, "pH"] = np.nan
    wines[[*FEATURES, "id"]].to_parquet(tmp_path / "rows.parquet")
    place = (str(tmp_path / "rows.parquet"), "--key", "id")
    output = command(server, name, "predict", *place, fails=True)
    assert "rows.parquet: row 18: column 'pH' is empty or NaN" in output
    assert not list((home / "predictions").rglob("*.parquet"))
    output = command(server, name, "predict", *place, "--reject-bad-rows")
    assert "rows           4999, 1 put aside, mean 5." in output

    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    mlflow = {"registered_model_name": name, "tracking_uri": server.uri, "version": "3"}
    with DagsterInstance.get() as instance:

        def check(off: float) -> str:
            labels = wines[["id"]].assign(**{TARGET: wines[TARGET] + off}).sample(frac=0.5)
            labels.to_csv(tmp_path / "labels.csv", index=False)
            config = {"labels": str(tmp_path / "labels.csv")}
            result = execute_job(
                reconstructable(jobs.live_error_job),
                instance,
                run_config={
                    "ops": {"batch_predictions_live_error": {"config": config}},
                    "resources": {"mlflow": {"config": mlflow}},
                },
            )
            assert result.success
            record = instance.get_latest_asset_check_evaluation_record(CHECK)
            evaluation = record.event.dagster_event.event_specific_data
            assert evaluation.passed is (off == 0.0), evaluation.description
            return evaluation.description

        def tick(cursor: str | None = None):
            context = build_sensor_context(instance=instance, cursor=cursor)
            return live_error_retraining(context), context.cursor

        assert "was not executed yet" in tick()[0].skip_message
        assert "on its test rows" in check(0.0)
        assert "passed" in tick()[0].skip_message
        assert "RMSE 3." in check(3.0)
        [request], cursor = tick()
        assert request.run_key == cursor
        assert "was answered already" in tick(cursor)[0].skip_message

    # Nobody loads a version that carries no signature.
    server.rest("model-versions/delete-tag", "DELETE", name=name, version="1", key=SIGNATURE_TAG)
    output = command(server, name, "predict", *place, "--reject-bad-rows", fails=True)
    assert f"{name} version 1 is not loaded: it carries no signature" in output
    assert len(list((home / "predictions").rglob("*.parquet"))) == 2
