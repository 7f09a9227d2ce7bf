"""``examples/lightgbm``, a family whose package the environments were given, on each version.

It is skipped where that was not done: ``make devenvs``, then ``python -m wine_quality.environments
build all --dev --with examples/lightgbm/requirements.txt``.
"""

from __future__ import annotations

import pandas as pd
import pytest

from wine_quality.tables.dataset import SAMPLES
from wine_quality_tests.integration.test_own_project import (  # noqa: F401
    Project,
    instance,
    metrics,
    served,
)
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def test_lightgbm_from_training_to_predictions(
    instance,  # noqa: F811
    mlflow_version,
    mlflow_server,
    home,
    tmp_path,
):
    if not list(mlflow_version.directory.glob("lib/python*/site-packages/lightgbm")):
        pytest.skip(f"LightGBM was not added to the environment of MLflow {mlflow_version.key}")
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    project = Project(instance, server, "lightgbm")
    swept = project.run(key, job="lightgbm_sweep")
    assert server.holder(project.name, "champion") == "1"
    found = metrics(project.mlflow_run(swept))
    assert found["mae"] < found["baseline_mae"]
    project.run(key, {"lightgbm_model": {"iterations": 1}})
    assert server.holder(project.name, "champion") == "1"
    project.run(key, job="lightgbm_promotion")
    assert server.holder(project.name, "champion") == "2"
    project.run(key, job="lightgbm_rollback")
    assert server.holder(project.name, "champion") == "1"

    rows = pd.read_csv(SAMPLES / "diabetes.csv").drop(columns="progression")
    answer = served(project, home, key, {name: float(rows[name][0]) for name in rows})
    assert "lightgbm==4.6.0" in answer["metadata"]["parameters"]["packages"]

    out = tmp_path / "scores.parquet"
    done = run_command(
        *("predict", str(SAMPLES / "diabetes.csv"), "--out", str(out), "--mlflow", key),
        *("--tracking-uri", server.uri, "--model", project.name),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    predicted = pd.read_parquet(out)["prediction"]
    assert len(predicted) == len(rows) and predicted.std() > 20
    assert predicted[0] == pytest.approx(answer["predict"]["data"][0], rel=1e-9)
