"""Workspaces of an MLflow 3 server: runs and models of one are seen in that one only."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CELLAR = {"X-MLFLOW-WORKSPACE": "cellar"}
EXPERIMENT, MODEL = "wine_quality_experiment1", "ElasticnetWineModel"


class WithWorkspaces(MlflowServer):
    options = ("--enable-workspaces",)


def test_a_run_in_a_workspace(home, tmp_path: Path, monkeypatch):
    """By MLflow's own variable, from the environment of the code location."""
    server = WithWorkspaces(MLFLOW_VERSIONS["3"], tmp_path / "server")
    try:
        server._ask("3.0/mlflow/workspaces", "POST", json.dumps({"name": "cellar"}).encode())
        monkeypatch.setenv("MLFLOW_WORKSPACE", "cellar")
        done = run_command("run", "--mlflow", "3", "--tracking-uri", server.uri)
        assert done.returncode == 0, done.stdout + done.stderr
        assert "?workspace=cellar" in done.stdout
        assert server.statuses(EXPERIMENT) == [] and server.versions(MODEL) == []
        server.headers = CELLAR
        assert server.statuses(EXPERIMENT) == ["FINISHED"]
        assert server.holder(MODEL, "champion") == "1"
    finally:
        server.stop()
