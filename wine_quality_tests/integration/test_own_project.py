"""A project of somebody's own (``examples/``) on each MLflow version, as an adopter runs it."""

from __future__ import annotations

import json
import re
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from dagster import DagsterInstance, DagsterRun, execute_job
from dagster._core.code_pointer import load_python_file
from dagster._core.definitions.reconstruct import ReconstructableRepository
from dagster._core.remote_representation.external_data import RepositorySnap
from dagster_shared.serdes import serialize_value

from wine_quality.environments.mlflow_versions import get_version
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.serving import Serve
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("forked_workers")]

EXAMPLES = PROJECT_ROOT / "examples"
OWN_NAMES = re.compile(r"wine[_-]quality", re.IGNORECASE)
"""The package's: its tags, variables and modules begin with it."""
OF_WINE = re.compile(r"wine|elastic_?net|alcohol", re.IGNORECASE)
FOLLOWING = ["churn_metrics", "churn_version", "churn_champion"]


@pytest.fixture
def instance(home, monkeypatch, forked_workers) -> Iterator[DagsterInstance]:
    folder = home / "dagster"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with DagsterInstance.get() as instance:
        yield instance
    for name in ("definitions", "definitions.py"):
        sys.modules.pop(name, None)


class Project:
    """Runs of an example, or of another file that has the job, in one instance, tracked on one
    server under names of its own."""

    def __init__(
        self,
        instance: DagsterInstance,
        server: MlflowServer,
        example: str,
        file: Path | None = None,
    ) -> None:
        self.instance, self.server = instance, server
        self.name = f"{example}-{uuid.uuid4().hex[:8]}"
        self.file = file or EXAMPLES / example / "definitions.py"
        self.repository = ReconstructableRepository.for_file(
            str(self.file), "defs", str(self.file.parent)
        )
        self.job_name = example

    def run(
        self,
        version: str | None = None,
        ops: dict[str, Any] | None = None,
        assets: list[str] | None = None,
        job: str | None = None,
        partition: str | None = None,
        engine: str = "",
        **more: Any,
    ) -> DagsterRun:
        """``more`` are fields of the resource ``mlflow``; ``engine`` that of a model graph."""
        tracking = {
            "tracking_uri": self.server.uri,
            "experiment_name": self.name,
            "registered_model_name": self.name,
            **({"version": version} if version else {}),
            **more,
        }
        config = {
            "resources": {
                "mlflow": {"config": tracking},
                **({"training_engine": {"config": {"engine": engine}}} if engine else {}),
            },
            "ops": {name: {"config": given} for name, given in (ops or {}).items()},
        }
        selection = _keys(assets) if assets else None
        picked = self.repository.get_reconstructable_job(job or self.job_name)
        if selection:
            picked = picked.get_subset(asset_selection=selection)
        given = {"dagster/partition": partition} if partition else {}
        result = execute_job(picked, self.instance, run_config=config, tags=given)
        run = self.instance.get_run_by_id(result.run_id)
        assert run is not None
        assert result.success, [entry.user_message for entry in self.instance.all_logs(run.run_id)]
        return run

    def mlflow_run(self, run: DagsterRun) -> dict[str, Any]:
        """That of a Dagster run."""
        [found] = [one for one in self.server.runs(self.name) if of_run(one) == run.run_id]
        return found


def served(project: Project, home: Path, key: str, row: dict[str, float]) -> dict[str, Any]:
    """Outputs for a row by the champion on a real server, by name, and the model's metadata."""
    tensors = [
        {"name": name, "shape": [1], "datatype": "FP64", "data": [value]}
        for name, value in row.items()
    ]
    uri, path = project.server.uri, f"/v2/models/{project.name}"
    with Serve(home, get_version(key), "--model", project.name, "--tracking-uri", uri) as serve:
        holder = project.server.holder(project.name, "champion")
        assert holder is not None
        serve.await_version(holder)
        status, answer = serve.ask("POST", f"{path}/infer", {"inputs": tensors})
        assert status == 200, answer
        one, plain = serve.ask("POST", "/invocations", {"dataframe_records": [row]})
        assert one == 200, plain
        _, metadata = serve.ask("GET", path)
        assert "warn" not in (serve.folder / "server.log").read_text().lower()
    found = {one["name"]: one for one in answer["outputs"]}
    assert plain == {"predictions": found["predict"]["data"]}
    assert [one["name"] for one in metadata["inputs"]] == list(row)
    return {**found, "metadata": metadata}


def _keys(names: list[str]) -> Any:
    from dagster import AssetKey

    return {AssetKey(name) for name in names}


def of_run(mlflow_run: dict[str, Any]) -> str | None:
    return tags(mlflow_run["data"]).get("dagster.run_id")


def tags(holder: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in holder.get("tags", [])}


def metrics(mlflow_run: dict[str, Any]) -> dict[str, float]:
    return {entry["key"]: entry["value"] for entry in mlflow_run["data"]["metrics"]}


def seen_by_adopter(project: Project, runs: list[DagsterRun]) -> str:
    """All texts of Dagster and MLflow that a run of the project leaves, and its definitions."""
    parts: list[Any] = [project.server.runs(project.name), project.server.versions(project.name)]
    for run in runs:
        logged = project.instance.all_logs(run.run_id)
        parts += [run.tags, [entry.user_message for entry in logged]]
        parts += [
            {key: str(value.value) for key, value in made.metadata.items()}
            for entry in logged
            if (made := entry.asset_materialization) is not None
        ]
    definitions = load_python_file(str(project.file), str(project.file.parent)).defs
    snapshot = RepositorySnap.from_def(definitions.get_repository_def())
    text = json.dumps(parts) + serialize_value(snapshot)
    return OWN_NAMES.sub("", text.replace(str(PROJECT_ROOT), ""))


def test_churn_is_trained_measured_registered_and_challenges(
    instance, mlflow_version, mlflow_server, home
):
    server = mlflow_server(mlflow_version)
    key, project = mlflow_version.key, Project(instance, server, "churn")
    poor = project.run(key, {"churn_model": {"trees": 2}})
    assert server.holder(project.name, "champion") == "1"
    good = project.run(key, {"churn_model": {"trees": 40}})

    assert server.statuses(project.name) == ["FINISHED", "FINISHED"]
    before, after = (metrics(project.mlflow_run(run)) for run in (poor, good))
    assert set(after) == {"auc", "accuracy", "train_customers"}
    assert after["auc"] > before["auc"] > 0.5
    assert server.holder(project.name, "champion") == "2"
    [newer] = [one for one in server.versions(project.name) if one["version"] == "2"]
    assert newer["run_id"] == project.mlflow_run(good)["info"]["run_id"]
    assert good.tags["mlflow/version"] == key
    found = OF_WINE.search(text := seen_by_adopter(project, [poor, good]))
    assert found is None, text[found.start() - 100 : found.end() + 100]

    # A random forest that classifies: its class, and the probability of each.
    answer = served(project, home, key, {"months": 2.0, "price": 80.0, "tickets": 4.0})
    [stays, leaves] = answer["probabilities"]["data"]
    assert answer["probabilities"]["shape"] == [1, 2] and stays + leaves == pytest.approx(1)
    assert leaves > 0.5 and answer["predict"]["data"] == [1.0]
    assert answer["metadata"]["parameters"]["classes"] == "0.0 1.0"

    # The same of a file, by the command.
    rows, out = home / "rows.csv", home / "scores.parquet"
    rows.write_text("months,price,tickets\n2,80,4\n70,12,0\n")
    scored = run_command(
        *("predict", str(rows), "--out", str(out), "--model", project.name, "--mlflow", key),
        *("--tracking-uri", server.uri),
    )
    assert scored.returncode == 0, scored.stdout + scored.stderr
    assert pd.read_parquet(out)["prediction"].tolist() == [1.0, 0.0]

    if key == "2.1.1":
        # No version in run config: what follows goes on with the model's version, and its run.
        part = project.run(assets=FOLLOWING)
        assert part.tags["mlflow/version"] == "2.1.1"
        assert len(server.runs(project.name)) == len(server.versions(project.name)) == 2
        assert server.statuses(project.name) == ["FINISHED", "FINISHED"]


def test_a_model_by_yaml_is_searched_for_below_the_run_of_its_training(
    instance, mlflow_version, mlflow_server, home
):
    """``examples/diabetes`` has no Python of its own. The points of the grid are nested runs by
    MLflow's own calls: in the experiment of their parent, and ended."""
    key, server = mlflow_version.key, mlflow_server(mlflow_version)
    project = Project(instance, server, "diabetes")
    run = project.run(key, job="diabetes_sweep")
    parent, runs = project.mlflow_run(run), server.runs(project.name)
    assert 50 < metrics(parent)["rmse"] < 60 < metrics(parent)["baseline_rmse"]
    above = [tags(one["data"]).get("mlflow.parentRunId") for one in runs]
    assert sorted(above, key=str) == sorted([None, *4 * [parent["info"]["run_id"]]], key=str)
    children = [one for one, holder in zip(runs, above, strict=True) if holder]
    errors = [metrics(one)["cv_rmse"] for one in children]
    assert metrics(parent)["cv_rmse"] == min(errors) < max(errors)
    assert set(server.statuses(project.name)) == {"FINISHED"}
    assert server.holder(project.name, "champion") == "1"
    worse = project.run(key, {"diabetes_model": {"alpha": 1e5}})
    found = OF_WINE.search(text := seen_by_adopter(project, [run, worse]))
    assert found is None, text[found.start() - 100 : found.end() + 100]
    assert server.holder(project.name, "champion") == "1"
    project.run(key, job="diabetes_promotion")
    assert server.holder(project.name, "champion") == "2"
    project.run(key, job="diabetes_rollback")
    assert server.holder(project.name, "champion") == "1"
    if key == "3":
        a_person_decides_between_two_champions(project)
    names = ("age", "sex", "bmi", "bp", "s1", "s2", "s3", "s4", "s5", "s6")
    patient = (59, 2, 32.1, 101, 157, 93.2, 38, 4, 4.8598, 87)
    answer = served(project, home, key, dict(zip(names, map(float, patient), strict=True)))
    assert set(answer) == {"predict", "metadata"}
    assert 100 < answer["predict"]["data"][0] < 300


def a_person_decides_between_two_champions(project: Project) -> None:
    """Alias and stage name two versions: the version that a person names is the champion."""
    server, name = project.server, project.name
    project.run("3", {"diabetes_model": {"alpha": 2e5}})
    for job, step, version in (
        ("diabetes_promotion", "diabetes_promote_version", "2"),
        ("diabetes_rollback", "diabetes_return_to_version", "1"),
    ):
        server.rest("registered-models/alias", name=name, alias="champion", version="3")
        transition = {"name": name, "version": version, "stage": "Production"}
        server.rest("model-versions/transition-stage", **transition)
        project.run("3", {step: {"version": version}}, job=job)
        assert server.holder(name, "champion") == version


def test_each_segment_has_a_registered_model_of_its_own(instance, mlflow_server):
    version = get_version("2.1.1")
    server = mlflow_server(version)
    project = Project(instance, server, "segments")
    runs = [project.run(version.key, partition=city) for city in ("Bern", "Geneva")]
    for city, run in zip(("Bern", "Geneva"), runs, strict=True):
        name = f"{project.name}-{city}"
        assert server.holder(name, "champion") == "1"
        [registered] = server.versions(name)
        assert registered["run_id"] == project.mlflow_run(run)["info"]["run_id"]
        assert tags(project.mlflow_run(run)["data"])["segment"] == city
    assert metrics(project.mlflow_run(runs[0])) != metrics(project.mlflow_run(runs[1]))
    found = OF_WINE.search(text := seen_by_adopter(project, runs))
    assert found is None, text[found.start() - 100 : found.end() + 100]


def test_a_search_in_processes_has_one_parent(instance, mlflow_version, mlflow_server):
    """Its points by MLflow's autologging, its folds by runs of joblib's processes."""
    project = Project(instance, mlflow_server(mlflow_version), "search")
    run = project.run(mlflow_version.key, autolog="sklearn")
    parent, runs = project.mlflow_run(run), project.server.runs(project.name)
    points = [one for one in runs if "mean_test_score" in metrics(one)]
    folds = [one for one in runs if "fold_rmse" in metrics(one)]
    assert (len(points), len(folds), len(runs)) == (3, 2, 6)
    above = {tags(one["data"]).get("mlflow.parentRunId") for one in (*points, *folds)}
    assert above == {parent["info"]["run_id"]}
    assert set(project.server.statuses(project.name)) == {"FINISHED"}
    logged = {param["key"] for param in parent["data"]["params"]}
    assert {"best_alpha", "n_jobs"} <= logged
    assert {"best_cv_score", "cv_rmse"} <= set(metrics(parent))

    # Nothing of it is left for the next, which asks for none.
    quiet = project.run(mlflow_version.key, {"searched_model": {"alphas": [1.0], "jobs": 1}})
    assert not project.mlflow_run(quiet)["data"].get("params")
    assert len(project.server.runs(project.name)) == 9
