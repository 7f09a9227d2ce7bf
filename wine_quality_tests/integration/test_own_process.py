"""``materialize()`` in each version's own process, and what its server then holds."""

from __future__ import annotations

import json
import os
import subprocess
import uuid
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import forked_command

pytestmark = pytest.mark.slow

PARAM_LIMITS = {"1.26": 250, "2.1.1": 500, "3": 6000}


def own_process(version: MlflowVersion, scenario: str, uri: str, name: str, **variables: str):
    arguments = ["-W", "ignore", "-m", "wine_quality_tests.support.own_process"]
    arguments += [scenario, version.key, uri, name]
    answer = subprocess.run(
        # One scenario imports as a process of one's own does.
        [str(version.python), *arguments]
        if scenario == "whole_then_part"
        else forked_command(*arguments, python=version.python),
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        # As somebody starts it by hand: the environment sets by itself what its MLflow needs.
        env={**os.environ, "PYTHONPATH": str(PROJECT_ROOT), **variables},
        timeout=120,
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


@pytest.fixture
def own(home, mlflow_version, mlflow_server, monkeypatch):
    """Runs a scenario; returns what it printed, its name and the server."""
    folder = home / "dagster"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    server: MlflowServer = mlflow_server(mlflow_version)

    def run(scenario: str, name: str, **variables: str) -> dict[str, Any]:
        return own_process(mlflow_version, scenario, server.uri, name, **variables)

    run.server, run.version = server, mlflow_version  # type: ignore[attr-defined]
    return run


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"]["tags"]}


def test_a_part_joins_the_run_that_trained_unless_the_split_is_another(own, postgres):
    """The part registers again: no second version, and no second row in the metrics history."""
    name, database = f"part-{uuid.uuid4().hex[:8]}", postgres.create_database()
    output = own("whole_then_part", name, WINE_QUALITY_METRICS_URL=postgres.url(database))
    assert output["success"] == [True, True, False]
    assert output["metrics"]["rmse"] == pytest.approx(0.7931640229276851, abs=1e-12)
    assert "trained on another split" in output["refusal"]
    assert "split_seed" in output["refusal"]
    [run] = own.server.runs(name)
    # The part's run took it up last, and ended it again; the refused one never touched it.
    assert run["info"]["status"] == "FINISHED"
    assert tags_of(run)["dagster.run_id"] == output["dagster_runs"][1]
    assert len(own.server.versions(name)) == 1
    kept = "SELECT metric, model_version, value FROM wine_quality.evaluation_metrics"
    rows = [(metric, 1, value) for metric, value in output["metrics"].items()]
    assert sorted(postgres.execute(kept, database)) == sorted(rows)


def test_a_part_follows_the_version_of_the_model_it_loads(own):
    """Run config names none, and the resource was built with another."""
    name, key = f"follows-{uuid.uuid4().hex[:8]}", own.version.key
    output = own("part_follows", name)
    assert output["success"] == {"whole": True, "metrics": True, "registered": True}
    [sentence] = output["messages"]
    assert f"goes on with MLflow {key}, the version of elasticnet_model" in sentence
    [run] = own.server.runs(name)
    assert run["info"]["status"] == "FINISHED"
    assert tags_of(run)["dagster.run_id"] == output["dagster_runs"][2]
    assert len(own.server.versions(name)) == 1
    # Named, another version is refused as ever.
    assert len(output["other"]) == 1


def test_a_deleted_experiment_is_restored_and_long_values_are_cut(own):
    name = f"long-{uuid.uuid4().hex[:8]}"
    made = own.server.rest("experiments/create", name=name)["experiment_id"]
    own.server.rest("experiments/delete", experiment_id=made)
    output = own("long_values", name, GIT_COMMIT="c" * 6000)
    assert output["success"]
    limit = PARAM_LIMITS[own.version.key]
    [run] = own.server.runs(name)
    assert run["info"]["experiment_id"] == made
    assert run["info"]["status"] == "FINISHED"
    params = {param["key"]: param["value"] for param in run["data"]["params"]}
    assert len(params["long"]) == limit
    assert params["long"].endswith("…")
    assert params["short"] == "s"
    assert len(tags_of(run)["long"]) == 5000
    assert len(tags_of(run)["mlflow.source.git.commit"]) == 5000
    assert f"parameter 'long' has 10000 characters; cut to MLflow's {limit}." in output["warnings"]
