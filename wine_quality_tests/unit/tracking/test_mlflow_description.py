"""Descriptions of a run and of a model on MLflow's pages: the way back to Dagster, kept apart from
texts that people wrote."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from wine_quality.tracking.runs.child_runs import children_experiment
from wine_quality.tracking.runs.run_tags import NOTE_TAG, with_dagster_link
from wine_quality_tests.support.warm_commands import run_command

LINK = "[Dagster run 0123abcd](http://localhost:5000/runs/0123abcd) of the job wine_quality_model"


@pytest.mark.parametrize(
    ("there", "then"),
    [
        ("", LINK),
        ("[Dagster run 99](http://other/runs/99) of assets", LINK),
        (
            "[Dagster run 99](http://x/)\n\nToo sour, see the cellar.",
            f"{LINK}\n\nToo sour, see the cellar.",
        ),
        ("Too sour, see the cellar.", "Too sour, see the cellar."),
    ],
)
def test_a_run_that_is_taken_up_again_keeps_what_people_wrote(there, then):
    assert with_dagster_link(there, LINK) == then


def test_children_of_an_experiment_with_a_long_name_stay_in_it():
    assert children_experiment("wine") == "wine/sweeps"
    assert children_experiment("/Users/a@b.test/wine") == "/Users/a@b.test/wine-sweeps"
    assert children_experiment("w" * 250) == "w" * 250


@pytest.mark.slow
def test_run_and_model_say_where_they_come_from(
    home, mlflow_version, mlflow_server: Callable, tmp_path: Path, monkeypatch
):
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "http://dagster.example")
    server, name = mlflow_server(mlflow_version), f"said-{uuid.uuid4().hex[:8]}"
    config = tmp_path / "run.yaml"
    config.write_text(f"resources: {{mlflow: {{config: {{registered_model_name: {name}}}}}}}")
    at = ["--mlflow", mlflow_version.key, "--tracking-uri", server.uri, "--experiment", name]

    def run() -> str:
        done = run_command("run", *at, "--config", str(config))
        assert done.returncode == 0, done.stdout + done.stderr
        [line] = [line for line in done.stdout.splitlines() if line.startswith("Dagster run")]
        return line.split()[-1]

    dagster_run = run()
    [found] = server.runs(name)
    tags = {tag["key"]: tag["value"] for tag in found["data"]["tags"]}
    assert tags[NOTE_TAG] == (
        f"[Dagster run {dagster_run[:8]}](http://dagster.example/runs/{dagster_run}) "
        "of the job wine_quality_model"
    )
    model = f"registered-models/get?name={name}"
    answer = server.get(model)["registered_model"]["description"]
    assert "](http://dagster.example/assets/champion_model)" in answer
    # A person's own stays.
    server.rest("registered-models/update", "PATCH", name=name, description="Ours.")
    run()
    assert server.get(model)["registered_model"]["description"] == "Ours."
