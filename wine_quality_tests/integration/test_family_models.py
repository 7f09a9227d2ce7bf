"""Models of families by the commands: scored, deployed, signed. On each version's real server."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
import yaml

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tables.dataset import SAMPLES
from wine_quality.tables.declared.diabetes import DATASET
from wine_quality.tracking.registry.provenance import SIGNATURE_TAG
from wine_quality_tests.integration.test_own_project import Project, instance
from wine_quality_tests.integration.test_streamed_runs import predictions
from wine_quality_tests.support.resource_schemas import check
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
