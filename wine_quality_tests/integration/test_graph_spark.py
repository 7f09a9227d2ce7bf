"""A model graph of another data set than the wines, trained by Spark: as by DuckDB's sums."""

from __future__ import annotations

import shutil

import numpy as np
import pandas as pd
import pytest

from wine_quality.engines.membership import Membership
from wine_quality.environments.mlflow_versions import get_version
from wine_quality_tests.integration.test_graph_predictions import failure
from wine_quality_tests.integration.test_graph_streaming import FEATURES, TABLE, patients
from wine_quality_tests.integration.test_own_project import Project, instance, metrics, tags
from wine_quality_tests.integration.test_streamed_runs import predictions

__all__ = ["instance"]
pytest.importorskip("pyspark", reason="PySpark is not installed here (make spark)")
if shutil.which("java") is None:
    pytest.skip("Spark needs Java, which is not on PATH", allow_module_level=True)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

DEFINITIONS = """
from wine_quality.model_graph import model_definitions
defs = model_definitions('diabetes', 'diabetes', {family!r})
"""


def coefficients_of(rows: pd.DataFrame, predicted: np.ndarray) -> np.ndarray:
    """Of the linear model that predicts so, and its intercept; (features + 1,)."""
    found, *_ = np.linalg.lstsq(np.column_stack([rows, np.ones(len(rows))]), predicted, rcond=None)
    return found


def test_spark_trains_a_graph_as_duckdb_does(instance, mlflow_server, tmp_path, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    version = get_version("3")
    server, rows = mlflow_server(version), patients(tmp_path / "rows", 4_000)
    file = tmp_path / "definitions.py"
    file.write_text(DEFINITIONS.format(family="elastic_net"))
    source = {"diabetes_data": {"source": f"{tmp_path / 'rows'}/"}}
    tested = TABLE.is_test(rows.to_numpy().T, Membership(0.25, 5, 42))
    test = rows[tested].reset_index(drop=True)[FEATURES]
    logged, predicted = {}, {}
    for engine in ("spark", "duckdb"):
        project = Project(instance, server, "diabetes", file)
        logged[engine] = project.mlflow_run(project.run("3", source, engine=engine))
        predicted[engine] = predictions(version, server.uri, project.name, "1", tmp_path, test)
    params = {one["key"]: one["value"] for one in logged["spark"]["data"]["params"]}
    assert params["training_engine"] == "spark"
    assert params["train_rows"] == str((~tested).sum())
    assert metrics(logged["spark"]) == pytest.approx(metrics(logged["duckdb"]), rel=1e-6)
    coefficients = {engine: coefficients_of(test, one) for engine, one in predicted.items()}
    assert coefficients["spark"] == pytest.approx(coefficients["duckdb"], rel=1e-6)
    hashes = {tags(one["data"])["data_sha256"] for one in logged.values()}
    assert len(hashes) == 1


def test_spark_refuses_a_family_that_needs_the_rows(instance, mlflow_server, tmp_path):
    file = tmp_path / "definitions.py"
    file.write_text(DEFINITIONS.format(family="random_forest"))
    project = Project(instance, mlflow_server(get_version("3")), "diabetes", file)
    with pytest.raises(AssertionError):
        project.run("3", engine="spark")
    message = failure(project)
    assert "random forest cannot be trained from sums" in message
    assert (
        "the engine spark" in message and "elastic net, lasso and ridge regression can" in message
    )
