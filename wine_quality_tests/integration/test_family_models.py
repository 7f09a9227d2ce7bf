"""Models of families by the commands and in their graphs. On each version's real server."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
import sqlalchemy
import yaml
from dagster import DagsterEventType

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tables.dataset import SAMPLES
from wine_quality.tables.declared.diabetes import DATASET
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG
from wine_quality_tests.integration.test_own_project import Project, instance, metrics
from wine_quality_tests.integration.test_streamed_runs import predictions
from wine_quality_tests.support.resource_schemas import check
from wine_quality_tests.support.serving import Serve
from wine_quality_tests.support.warm_commands import run_command

__all__ = ["instance"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SAMPLE = SAMPLES / "diabetes.csv"
FEATURES = list(DATASET.features)


def trained(instance, server, key: str, family: str, folder: Path) -> Project:
    """A project of one model, with a champion."""
    file = folder / "definitions.py"
    file.write_text(
        "from wine_quality.model_graph import model_definitions\n"
        f"defs = model_definitions('diabetes', 'diabetes', {family!r})\n"
    )
    project = Project(instance, server, "diabetes", file)
    project.run(key)
    assert server.holder(project.name, "champion") == "1"
    return project


def command(project: Project, key: str, name: str, *given: str, ok: bool = True) -> str:
    """Output of a command on the project's model."""
    done = run_command(
        *(name, *given, "--model", project.name, "--mlflow", key),
        *("--tracking-uri", project.server.uri),
    )
    assert (done.returncode == 0) is ok, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("key", "family"),
    [*((key, "random_forest") for key in MLFLOW_VERSIONS), ("3", "gradient_boosting")],
)
def test_trees_are_scored_signed_and_deployed(instance, mlflow_server, tmp_path, key, family):
    """Trees hold types that skops does not trust by itself: those of the package's families are
    trusted by every command."""
    version = MLFLOW_VERSIONS[key]
    server = mlflow_server(version)
    project = trained(instance, server, key, family, tmp_path)
    name, out = project.name, tmp_path / "out.parquet"
    output = command(project, key, "predict", str(SAMPLE), "--out", str(out))
    assert f"model          {name} version 1" in output
    rows, found = pd.read_csv(SAMPLE), pd.read_parquet(out)
    expected = predictions(
        version, server.uri, name, "1", tmp_path, rows[FEATURES].astype("float64")
    )
    assert found["prediction"].to_numpy() == pytest.approx(expected, rel=1e-9)
    described = json.loads(pq.read_metadata(out).metadata[b"wine_quality.predictions"])
    assert (described["model"], described["mlflow_version"]) == (name, key)

    server.rest("model-versions/delete-tag", "DELETE", name=name, version="1", key=SIGNATURE_TAG)
    refused = command(project, key, "predict", str(SAMPLE), "--out", str(out), ok=False)
    assert f"{name} version 1 is not loaded: it carries no signature" in refused
    assert "1 version(s) are signed now" in command(project, key, "trust", "--yes")
    command(project, key, "predict", str(SAMPLE), "--out", str(out))

    output = command(project, key, "deploy")
    [place] = re.findall(r"^files +(\S+)$", output, re.MULTILINE)
    metadata = json.loads((Path(place) / "repository" / name / "model-settings.json").read_text())
    assert metadata["name"] == name
    assert [one["name"] for one in metadata["inputs"]] == FEATURES
    documents = [
        document
        for file in sorted((Path(place) / "manifests").glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
    ]
    assert {one["kind"] for one in documents} == {"InferenceService", "SeldonDeployment"}
    for document in documents:
        check(document)
    assert name in (Path(place) / "manifests" / "kserve.yaml").read_text()


def checks_of(instance, run) -> dict[str, Any]:
    logs = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [log.dagster_event.event_specific_data for log in logs]
    return {one.check_name: one for one in evaluations}


def kept(url: str) -> list[tuple[Any, ...]]:
    """The rows of the metrics history."""
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        found = connection.execute(
            sqlalchemy.text(
                "SELECT model_name, model_version, metric, value, data_sha256, run_id "
                "FROM wine_quality.evaluation_metrics ORDER BY model_version, metric"
            )
        ).all()
    engine.dispose()
    return [tuple(row) for row in found]


def test_training_and_live_data_are_compared_and_metrics_are_kept(
    instance, mlflow_version, mlflow_server, home, tmp_path, postgres, monkeypatch
):
    """Of a model graph: drift of newer data, rows in the history, and what its server is asked."""
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    url = postgres.url(postgres.create_database())
    monkeypatch.setenv("WINE_QUALITY_METRICS_URL", url)
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    project = trained(instance, server, key, "gradient_boosting", tmp_path)
    [first] = instance.get_runs()
    drift = checks_of(instance, first)["drift_against_champion"]
    assert (drift.passed, drift.description) == (True, "There is no champion yet.")

    patients = pd.read_csv(SAMPLE)
    older = patients.assign(age=patients["age"] + 30)
    older.to_csv(tmp_path / "older.csv", index=False)
    again = project.run(key, {"diabetes_data": {"source": str(tmp_path / "older.csv")}})
    drift = checks_of(instance, again)["drift_against_champion"]
    assert not drift.passed
    assert drift.description.startswith("1 column(s) above 0.25: age. The most drifted is age")
    assert set(drift.metadata) == set(patients.columns)

    rows = kept(url)
    assert {row[:3] for row in rows} == {
        (project.name, number, metric) for number in (1, 2) for metric in ("rmse", "mae", "r2")
    }
    assert len({row[4] for row in rows}) == 2 and all(len(row[4]) == 64 for row in rows)
    logged = metrics(project.mlflow_run(again))
    assert {row[2]: row[3] for row in rows if row[1] == 2} == {
        name: logged[name] for name in ("rmse", "mae", "r2")
    }
    [shown] = [
        made.metadata
        for entry in instance.all_logs(again.run_id)
        if (made := entry.asset_materialization) and "rmse_trend" in made.metadata
    ]
    assert "this run" in shown["rmse_trend"].value or "svg" in shown["rmse_trend"].value
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("DELETE FROM wine_quality.evaluation_metrics"))
    engine.dispose()
    done = run_command(
        *("metrics", "backfill", "--model", project.name, "--mlflow", key),
        *("--tracking-uri", server.uri),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept(url) == rows

    holder = server.holder(project.name, "champion")
    variables = {"WINE_QUALITY_METRICS_URL": url, "WINE_QUALITY_SERVE_LOG_INPUTS": "true"}
    given = ("--model", project.name, "--tracking-uri", server.uri)
    seen = older if holder == "2" else patients
    tensors = [
        {"name": name, "shape": [len(seen)], "datatype": "FP64", "data": values.tolist()}
        for name, values in seen[FEATURES].astype("float64").items()
    ]
    with Serve(home, mlflow_version, *given, **variables) as serve:
        serve.await_version(holder)
        path = f"/v2/models/{project.name}/infer"
        status, answer = serve.ask("POST", path, {"inputs": tensors})
        assert status == 200, answer
    live = checks_of(instance, project.run(key, job="diabetes_live_check"))
    assert set(live) == {"live_predictions_like_training", "live_inputs_like_training"}
    for one in live.values():
        assert one.passed and "version" in one.metadata, one.description
        assert one.metadata["version"].value == holder
    inputs = live["live_inputs_like_training"]
    assert set(FEATURES) <= set(inputs.metadata)
