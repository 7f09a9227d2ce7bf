"""Batch predictions of model graphs, on real servers: scored in the graph, labels that follow."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from dagster import AssetKey, DagsterEventType, DagsterRun

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import predictions as predictions_folder
from wine_quality.tables.dataset import SAMPLES
from wine_quality_tests.integration.test_family_models import FEATURES, checks_of, command, trained
from wine_quality_tests.integration.test_own_project import EXAMPLES, Project, instance
from wine_quality_tests.integration.test_streamed_runs import predictions

__all__ = ["instance"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def written(project: Project, asset: str, run: DagsterRun) -> pd.DataFrame:
    """The predictions that a run wrote."""
    [made] = [
        made
        for entry in project.instance.all_logs(run.run_id)
        if (made := entry.asset_materialization) and made.asset_key == AssetKey(asset)
    ]
    return pd.read_parquet(str(made.metadata["file"].value))


def failure(project: Project) -> str:
    """Why the step of the latest run failed."""
    [run] = project.instance.get_runs(limit=1)
    kind = DagsterEventType.STEP_FAILURE
    [log] = project.instance.all_logs(run.run_id, of_type=kind)
    return str(log.dagster_event.event_specific_data.error)


def judged(project: Project, run: DagsterRun):
    return checks_of(project.instance, run)["live_error"]


def test_a_graph_scores_rows_and_is_held_against_labels(
    instance, mlflow_version, mlflow_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    project = trained(instance, server, key, "ridge", tmp_path)
    [training] = instance.get_runs()
    made = {
        entry.asset_materialization.asset_key.to_user_string()
        for entry in instance.all_logs(training.run_id)
        if entry.asset_materialization
    }
    assert "diabetes_champion" in made and "diabetes_predictions" not in made
    patients = pd.read_csv(SAMPLES / "diabetes.csv").assign(id=range(442))
    patients[[*FEATURES, "id"]].to_csv(tmp_path / "rows.csv", index=False)

    # Without a version: that of the champion.
    config = {"source": str(tmp_path / "rows.csv"), "key": ["id"]}
    scored = project.run(ops={"diabetes_predictions": config}, job="diabetes_scoring")
    found = written(project, "diabetes_predictions", scored)
    rows = patients[FEATURES].astype("float64")
    expected = predictions(mlflow_version, server.uri, project.name, "1", tmp_path, rows)
    assert found["prediction"].to_numpy() == pytest.approx(expected, rel=1e-9)
    [file] = predictions_folder().rglob("*.parquet")
    described = json.loads(pq.read_metadata(file).metadata[b"wine_quality.predictions"])
    assert (described["model"], described["mlflow_version"]) == (project.name, key)
    assert len(server.runs(project.name)) == 1  # no MLflow run of its own

    def check(off: float):
        labels = patients[["id"]].assign(progression=patients["progression"] + off)
        labels.to_csv(tmp_path / "labels.csv", index=False)
        given = {"labels": str(tmp_path / "labels.csv"), "period": "month"}
        ops = {"diabetes_predictions_live_error": given}
        return judged(project, project.run(key, ops, job="diabetes_live_error"))

    right, wrong = check(0.0), check(1000.0)
    assert right.passed and "on its test rows" in right.description, right.description
    assert not wrong.passed and "RMSE 10" in wrong.description

    monkeypatch.setenv("WINE_QUALITY_ALLOWED_OUTPUTS", str(tmp_path / "scores"))
    refused = {**config, "output": str(tmp_path / "elsewhere")}
    with pytest.raises(AssertionError):
        project.run(key, {"diabetes_predictions": refused}, job="diabetes_scoring")
    assert "runs may not write there" in failure(project)


def test_the_rows_of_a_segment_are_scored_by_its_own_champion(instance, mlflow_server, tmp_path):
    version = MLFLOW_VERSIONS["3"]
    server = mlflow_server(version)
    project = Project(instance, server, "segments")
    for city in ("Bern", "Geneva"):
        project.run("3", partition=city)
    rents = pd.read_csv(EXAMPLES / "segments" / "rents.csv")
    for city in ("Bern", "Geneva"):
        # No source: the rows of the data set's sample.
        scored = project.run("3", job="segments_scoring", partition=city)
        found, own = written(project, "segments_predictions", scored), rents["city"] == city
        assert list(found["row"]) == list(np.flatnonzero(own) + 1)
        rows = rents[own].drop(columns=["city", "rent"]).astype("float64").reset_index(drop=True)
        name = f"{project.name}-{city}"
        expected = predictions(version, server.uri, name, "1", tmp_path, rows)
        assert found["prediction"].to_numpy() == pytest.approx(expected, rel=1e-9)
    with pytest.raises(AssertionError):
        project.run("3", job="segments_scoring", partition="Lugano")
    assert "Lugano has no champion that could predict" in failure(project)

    # Without a key the n-th label is that of the n-th row, of all cities.
    labels = Path(str(predictions_folder())) / "labels.parquet"
    rents[["rent", "age"]].to_parquet(labels)
    given = {"segment": "Bern", "labels": str(labels)}
    run = project.run("3", {"segments_predictions_live_error": given}, job="segments_live_error")
    check = judged(project, run)
    assert "rows" in check.description and check.passed, check.description
    assert check.metadata["rows"].value == int((rents["city"] == "Bern").sum())
    assert check.metadata["segment"].value == "Bern"


CLASSIFIER = """
from pathlib import Path
from wine_quality.model_graph import model_definitions
from wine_quality.tables.dataset import Column, Dataset, Task

LEAVERS = Dataset(
    "leavers",
    (Column("months", "int", 0), Column("price", "float", 0), Column("left", "int", 0, 1)),
    "left",
    Task.classification,
    sample=Path(__file__).parent / "leavers.csv",
)
defs = model_definitions("leavers", LEAVERS, "logistic_regression")
"""


def test_a_classifier_says_how_likely_each_class_is(
    instance, mlflow_version, mlflow_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    random = np.random.default_rng(5)
    rows = pd.DataFrame(
        {"months": random.integers(0, 100, 400), "price": random.uniform(5, 90, 400)}
    )
    rows["left"] = (random.normal(size=400) * 20 + rows["price"] > rows["months"]).astype(int)
    rows.to_csv(tmp_path / "leavers.csv", index=False)
    (tmp_path / "definitions.py").write_text(CLASSIFIER)
    project = Project(instance, server, "leavers", tmp_path / "definitions.py")
    project.run(key)
    scored = project.run(key, job="leavers_scoring")
    found = written(project, "leavers_predictions", scored)
    assert set(found["prediction"]) == {0, 1}
    by_command = tmp_path / "out.parquet"
    output = command(
        project, key, "predict", str(tmp_path / "leavers.csv"), "--out", str(by_command)
    )
    assert "rows           400, mean 0." in output
    for one in (found, pd.read_parquet(by_command)):
        assert np.array_equal(one["probability_1"] > 0.5, one["prediction"] == 1)
        assert (one["probability_0"] + one["probability_1"]).to_numpy() == pytest.approx(1)
        assert one["probability_1"].nunique() > 300

    def check(labels: pd.Series):
        pd.DataFrame({"left": labels, "n": range(400)}).to_csv(tmp_path / "labels.csv", index=False)
        given = {"leavers_predictions_live_error": {"labels": str(tmp_path / "labels.csv")}}
        return judged(project, project.run(key, given, job="leavers_live_error"))

    right, wrong = check(found["prediction"]), check(1 - found["prediction"])
    assert right.passed and "error rate 0.0000 on 400 rows" in right.description
    assert not wrong.passed and "error rate 1.0000 on 400 rows" in wrong.description
