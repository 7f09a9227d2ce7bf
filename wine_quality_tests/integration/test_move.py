"""`make move` between real servers: refused, killed, finished, repeated, and gone on with."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import wine_quality.paths
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.moves import (
    EXPERIMENT,
    MODEL,
    REFUSED,
    add_more,
    contents,
    rows,
    seed,
)
from wine_quality_tests.support.servers import MlflowServer, await_condition, dying_with_us
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

OLD, NEW = MLFLOW_VERSIONS["1.26"], MLFLOW_VERSIONS["3"]
NAME = 'O\'Brien "100%" 🍷'
CHAMPIONS = (
    "SELECT version FROM registered_model_aliases WHERE alias = 'champion' AND name LIKE 'O%'"
)


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    file = tmp_path_factory.mktemp("config") / "config.yaml"
    fields = {"registered_model_name": NAME, "experiment_name": NAME}
    named = json.dumps(fields, ensure_ascii=False)
    file.write_text(f"resources: {{mlflow: {{config: {named}}}}}\n")
    return file


@pytest.fixture(scope="module")
def servers(tmp_path_factory, config: Path) -> Iterator[tuple[MlflowServer, MlflowServer]]:
    """A server of MLflow 1.26 whose version 2 is champion, and an empty one of MLflow 3."""
    folder = tmp_path_factory.mktemp("move")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINE_QUALITY_HOME", str(folder / "home it's"))
        for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_METRICS_URL"):
            patch.delenv(name, raising=False)
        source = MlflowServer(OLD, folder / "old")
        try:
            target = MlflowServer(NEW, folder / "new")
            try:
                train(config, source, "0.5")
                assert "takes the place of version 1" in train(config, source, "0.01")
                seed(source, NAME)
                yield source, target
            finally:
                target.stop()
        finally:
            source.stop()


def train(config: Path, server: MlflowServer, alpha: str) -> str:
    key = server.version.key
    arguments = ["--mlflow", key, "--alpha", alpha, "--config", str(config)]
    done = run_command("run", *arguments, "--tracking-uri", server.uri)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def arguments(source: MlflowServer, target: str, *options: str) -> list[str]:
    to = NEW.key
    return ["move", source.version.key, to, "--from-uri", source.uri, "--to-uri", target, *options]


def move(source: MlflowServer, target: str, *options: str, code: int = 0) -> str:
    done = run_command(*arguments(source, target, *options))
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def report(name: str) -> dict[str, Any]:
    return json.loads((wine_quality.paths.home() / "moves" / name / "report.json").read_text())


def kill_when(condition: Callable[[], bool], source: MlflowServer, target: MlflowServer) -> None:
    """SIGKILL as soon as it holds at the target."""
    command = [sys.executable, "-m", "wine_quality", *arguments(source, target.uri, "--apply")]
    process = subprocess.Popen(
        dying_with_us(*command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=PROJECT_ROOT
    )
    try:
        await_condition(lambda: condition() or process.poll() is not None, "the move's step")
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors


@pytest.mark.skipif(not OLD.python.exists(), reason="no Python 3.11 here")
def test_from_1_26_to_3(servers, config: Path):
    source, target = servers
    under_way = source.rest("runs/create", experiment_id="0", start_time=5)["run"]["info"]["run_id"]
    said = move(source, target.uri, code=1)
    assert f"1 run is under way ({under_way} of Default)" in said
    assert "versions       8 " in said and "; 0 there already" in said
    assert not rows(target.database, "SELECT * FROM runs")
    source.rest("runs/update", run_id=under_way, status="FINISHED", end_time=7)
    assert "A dry run: nothing was changed" in move(source, target.uri)

    def has_runs() -> bool:
        complete = "SELECT 1 FROM tags WHERE key = 'wine_quality.moved' AND value = 'complete'"
        return len(rows(target.database, complete)) >= 2

    kill_when(has_runs, source, target)
    assert not rows(target.database, "SELECT * FROM model_versions")
    kill_when(lambda: bool(rows(target.database, "SELECT * FROM model_versions")), source, target)
    said = move(source, target.uri, "--apply", code=1)
    assert f"not carried    model {REFUSED}: " in said
    found = report("1.26-to-3")
    left = [(one["kind"], one["name"]) for one in found["not_carried"]]
    assert left == [("model", REFUSED), ("version", f"{REFUSED} version 1")]
    assert (
        found["notes"]
        == [
            f"{NAME} version 4 carries no signature, as at the source",
            "free version 1 carries no signature, as at the source",
            *(f"{MODEL} version {n} carries no signature, as at the source" for n in (1, 2, 5)),
        ]
        or len(found["notes"]) < 5
    )  # those of versions that were there before
    assert {"model": NAME, "champion": "2", "challenger": None} in found["roles"]
    assert {"model": MODEL, "champion": None, "challenger": "5"} in found["roles"]
    before = contents(source.database, source.artifacts)
    after = contents(target.database, target.artifacts)
    refused = (REFUSED, None)
    assert before["models"].index(refused) is not None
    before["models"] = [one for one in before["models"] if one[0] != REFUSED]
    before["versions"] = [one for one in before["versions"] if one[0] != REFUSED]
    for kind, wanted in before.items():
        assert after[kind] == wanted, kind
    assert [one[1] for one in after["versions"] if one[0] == MODEL] == [1, 2, 5]
    assert sum(map(len, before["metrics"].values())) > 4 * 1200 and len(before["runs"]) == 8

    # Once more: nothing is new. What was added since then is.
    tables = ("runs", "metrics", "tags", "model_versions", "experiments", "registered_model_tags")
    counted = [rows(target.database, f"SELECT count(*) FROM {table}") for table in tables]
    move(source, target.uri, "--apply", code=1)
    assert counted == [rows(target.database, f"SELECT count(*) FROM {name}") for name in tables]
    assert [one["copied"] for one in report("1.26-to-3")["counts"].values()] == [0, 0, 0, 0]
    add_more(source)
    move(source, target.uri, "--apply", code=1)
    counts = report("1.26-to-3")["counts"]
    assert [counts[kind]["copied"] for kind in ("runs", "versions")] == [1, 1]
    assert (counts["runs"]["source"], counts["runs"]["there"]) == (9, 8)

    said = train(config, target, "0.7")
    assert "version 2 (RMSE 0.677856) stays the champion; version 5 (RMSE 0.829892)" in said
    assert rows(target.database, CHAMPIONS) == [(2,)]
    check_same_version(target)


def check_same_version(source: MlflowServer) -> None:
    """From a server of MLflow 3 to the embedded store, with logged models and data sets."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelInput

    client = MlflowClient(source.uri)
    (model,) = client.search_logged_models(experiment_ids=_experiments(source))
    reader = client.create_run(client.get_experiment_by_name(EXPERIMENT).experiment_id).info.run_id
    client.log_inputs(reader, models=[LoggedModelInput(model_id=model.model_id)])
    client.set_terminated(reader)
    said = move(source, "", "--apply")
    database = wine_quality.paths.embedded_store("3") / "mlflow.db"
    counts = report("3-to-3")["counts"]
    assert all(one["copied"] + one["there"] == one["source"] for one in counts.values()), said
    assert counts["logged models"] == {"source": 1, "there": 0, "copied": 1}
    assert rows(database, CHAMPIONS) == [(2,)]
    for table in ("inputs", "datasets", "logged_model_metrics", "logged_model_params", "metrics"):
        (wanted,), (found,) = (
            rows(path, f"SELECT count(*) FROM {table}") for path in (source.database, database)
        )
        assert wanted == found and found[0], table
    move(source, "", "--apply")
    assert [one["copied"] for one in report("3-to-3")["counts"].values()] == [0] * 5


def _experiments(source: MlflowServer) -> list[str]:
    return [str(one) for (one,) in rows(source.database, "SELECT experiment_id FROM experiments")]


def test_refused_in_a_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path))
    for name in [name for name in os.environ if name.startswith("MLFLOW_")]:
        monkeypatch.delenv(name)
    for wanted, *given in (
        ("MLflow 2.1.1 is older than 3", "3", "2.1.1"),
        ("both sides are the embedded store of MLflow 3", "3", "3"),
        ("there is no embedded store of MLflow 3", "3", "3", "--to-uri", "http://127.0.0.1:9"),
        (
            "--from-uri is postgresql://db/mlflow",
            "3",
            "3",
            "--from-uri",
            "postgresql://u:p@db/mlflow",
        ),
    ):
        done = run_command("move", *given)
        assert done.returncode == 2 and wanted in done.stderr, done.stdout + done.stderr
        assert not (tmp_path / "mlflow-3").exists()
