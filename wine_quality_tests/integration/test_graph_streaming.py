"""Model graphs trained from sums, on real servers: the coefficients of all rows in memory."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import ElasticNet

from wine_quality.engines.membership import Membership
from wine_quality.engines.row_table import RowTable
from wine_quality.tables.dataset import SAMPLES
from wine_quality.tables.declared.diabetes import DATASET
from wine_quality_tests.integration.test_graph_predictions import failure, written
from wine_quality_tests.integration.test_own_project import Project, instance, metrics, tags
from wine_quality_tests.integration.test_streamed_runs import predictions

__all__ = ["instance"]
pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FEATURES = list(DATASET.features)
TABLE = RowTable.of(DATASET)


def patients(folder: Path, rows: int) -> pd.DataFrame:
    """So many rows like those of the sample, in files of two kinds."""
    random, known = np.random.default_rng(8), pd.read_csv(SAMPLES / "diabetes.csv")
    drawn = known.sample(rows, replace=True, random_state=1).reset_index(drop=True)
    for name in FEATURES:
        if DATASET.by_name[name].dtype == "float":
            drawn[name] *= random.uniform(0.98, 1.02, rows)
    folder.mkdir()
    drawn.head(rows // 2).to_parquet(folder / "1.parquet", index=False)
    drawn.tail(rows - rows // 2).to_csv(folder / "2.csv", index=False)
    return drawn[list(TABLE.names)].astype(float)


def test_a_streamed_graph_has_the_model_of_all_rows(
    instance, mlflow_version, mlflow_server, tmp_path, monkeypatch
):
    monkeypatch.setenv("WINE_QUALITY_ALLOWED_ROOTS", str(tmp_path))
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    rows = patients(tmp_path / "rows", 60_000)
    file = tmp_path / "definitions.py"
    file.write_text(
        "from wine_quality.model_graph import model_definitions\n"
        "defs = model_definitions('diabetes', 'diabetes', 'elastic_net')\n"
    )
    project = Project(instance, server, "diabetes", file)
    source = {"diabetes_data": {"source": f"{tmp_path / 'rows'}/"}}
    run = project.run(key, source, engine="duckdb")
    logged = project.mlflow_run(run)
    params = {one["key"]: one["value"] for one in logged["data"]["params"]}
    tested = TABLE.is_test(rows.to_numpy().T, Membership(0.25, 5, 42))
    assert (params["training_engine"], params["train_rows"]) == ("duckdb", str((~tested).sum()))
    assert len(tags(logged["data"])["data_sha256"]) == 64

    train, test = rows[~tested], rows[tested].reset_index(drop=True)
    expected = ElasticNet(alpha=0.5, l1_ratio=0.5, random_state=42)
    expected.fit(train[FEATURES], train[DATASET.target])
    held = expected.predict(test[FEATURES])
    off = held - test[DATASET.target]
    found = metrics(logged)
    assert found["rmse"] == pytest.approx(float((off**2).mean() ** 0.5), rel=1e-6)
    assert found["mae"] == pytest.approx(float(off.abs().mean()), rel=1e-6)
    got = predictions(mlflow_version, server.uri, project.name, "1", tmp_path, test[FEATURES])
    assert got == pytest.approx(held, rel=1e-6)
    assert server.holder(project.name, "champion") == "1"

    # The champion of before was trained from sums; the next, swept, is measured on the same rows.
    swept = project.run(key, source, job="diabetes_sweep", engine="duckdb")
    assert metrics(project.mlflow_run(swept))["rmse"] <= found["rmse"] * (1 + 1e-9)
    if key == "3":
        scored = project.run(key, job="diabetes_scoring")
        assert len(written(project, "diabetes_predictions", scored)) == 442
        # One of the commands reads the rows in memory.
        with pytest.raises(AssertionError):
            project.run(key, assets=["diabetes_train", "diabetes_test"])
        assert "diabetes_data was read by a streaming engine" in failure(project)
