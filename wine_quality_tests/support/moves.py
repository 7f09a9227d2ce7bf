"""Objects that tests of `make move` put into a source, and read of both sides without MLflow."""

from __future__ import annotations

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality_tests.support.warm_commands import run_python

EXPERIMENT = "theirs 100% 🍷 it's"
MODEL = 'Team\'s "best" 5% 🍷'
REFUSED = "team/wine"  # MLflow 3 takes no such name

# In the environment of MLflow 1.26 or 2.1.1: a parent with children, of which one is deleted, and a
# model with versions 1, 2 and 5, another one's run deleted, and one that was never a run's.
_SEED = """
import os, sys, tempfile
import mlflow
from mlflow.entities import Metric
from mlflow.tracking import MlflowClient
mlflow.set_tracking_uri(sys.argv[1])
client, name, model, refused, own, files = MlflowClient(sys.argv[1]), *sys.argv[2:]
where = {"artifact_location": files or None}
experiment = client.create_experiment(name, **where, tags={"of": "it's"})
def make(number, **tags):
    run = client.create_run(experiment, start_time=1000 + number, tags=tags).info
    client.log_param(run.run_id, "long", "5% " * 80)
    points = [Metric("loss/val it", float(step), 2000 + step, step) for step in range(1203)]
    points += [Metric("odd", float(text), 2000, 0) for text in ("nan", "inf", "-inf", "1e-300")]
    client.log_batch(run.run_id, metrics=points[:700])
    client.log_batch(run.run_id, metrics=points[700:])
    with tempfile.TemporaryDirectory() as folder:
        os.makedirs(folder + "/model/it's 🍷")
        for file, size in (("model/MLmodel", 9), ("model/it's 🍷/100%.bin", 70_000), ("empty", 0)):
            with open(f"{folder}/{file}", "wb") as written:
                written.write(os.urandom(size))
        client.log_artifacts(run.run_id, folder)
    client.set_terminated(run.run_id, "FAILED" if number == 2 else "FINISHED", 9000 + number)
    return run
parent = make(0, **{"mlflow.runName": "par'ent 🍷", "mlflow.user": "ann"})
mine = {"mlflow.parentRunId": parent.run_id}
children = [make(number, **mine) for number in (1, 2, 3)]
client.set_tag(parent.run_id, "wine_quality.best_child", children[2].run_id)
client.create_registered_model(model, {"who": "it's"}, "of 5%")
for number in range(5):
    run = children[number % 3]
    tags = {"wine_quality.previous_champion": str(number or "none"), "a / 100": "it's 5%"}
    source = run.artifact_uri + "/model"
    client.create_model_version(model, source, run.run_id, tags, description="v")
client.delete_model_version(model, "3")
client.delete_model_version(model, "4")
client.transition_model_version_stage(model, "1", "Archived")
client.transition_model_version_stage(model, "5", "Staging")
client.delete_run(children[1].run_id)
client.create_registered_model(refused)
client.create_model_version(refused, "s3://bucket/model")
client.create_registered_model("free")
client.create_model_version("free", "s3://bucket/model", tags={"a": "b"})
gone = client.create_experiment("gone", **where, tags={"a": "b"})
client.set_terminated(client.create_run(gone, start_time=5).info.run_id, end_time=6)
client.delete_experiment(gone)
first = client.get_model_version(own, "1")  # by other hands: without a signature
for number in range(2):
    client.create_model_version(own, first.source, first.run_id)
client.delete_model_version(own, "3")
print(client.create_run("0", start_time=5).info.run_id)  # under way
"""
_MORE = """
import sys
from mlflow.tracking import MlflowClient
client, name, model = MlflowClient(sys.argv[1]), *sys.argv[2:]
run = client.create_run(client.get_experiment_by_name(name).experiment_id).info
client.log_metric(run.run_id, "later", 1.5, step=3)
client.set_terminated(run.run_id)
client.create_model_version(model, run.artifact_uri + "/model", run.run_id)
"""


def seed(version: MlflowVersion, uri: str, own: str, files: str = "") -> str:
    """Fill a server or store of MLflow 1.26 or 2.1.1.

    Args:
        own: A model of which it has version 1.
        files: Where artifacts of a store without a server go.

    Returns:
        The id of a run that is under way.
    """
    return _python(version, _SEED, uri, EXPERIMENT, MODEL, REFUSED, own, files)


def add_more(version: MlflowVersion, uri: str) -> None:
    """One more run, and a version of it."""
    _python(version, _MORE, uri, EXPERIMENT, MODEL)


def _python(version: MlflowVersion, code: str, *arguments: str) -> str:
    """The last line that it prints."""
    variables = version.process_variables()
    done = run_python(version.python, "-W", "ignore", "-c", code, *arguments, env=variables)
    assert done.returncode == 0, done.stderr
    return [*done.stdout.splitlines(), ""][-2 if done.stdout else -1]


def rows(database: Path, sql: str) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=30)) as found:
        return found.execute(sql).fetchall()


def contents(database: Path, artifacts: Path) -> dict[str, Any]:
    """All of a store, by ids that its source and its copy share, read from tables and files."""
    tags: dict[str, dict[str, str]] = {}
    for run, key, value in rows(database, "SELECT run_uuid, key, value FROM tags"):
        tags.setdefault(run, {})[key] = value
    origin = {
        run: tags.get(run, {}).get("wine_quality.moved_from_run", run)
        for (run,) in rows(database, "SELECT run_uuid FROM runs")
    }
    return {
        "runs": _runs(database, origin),
        "tags": {origin[run]: _own(tags.get(run, {}), origin) for run in origin},
        "params": _by_run(database, "key, value FROM params", origin),
        "metrics": _by_run(database, "key, value, timestamp, step, is_nan FROM metrics", origin),
        "files": {origin[run]: _hashes(artifacts, run) for run in origin},
        "versions": sorted(_versions(database, origin)),
        "models": sorted(rows(database, "SELECT name, description FROM registered_models")),
    }


def _runs(database: Path, origin: dict[str, str]) -> dict[str, tuple[Any, ...]]:
    found = rows(
        database,
        # Those of a deleted experiment are deleted, too, in MLflow 3 only.
        "SELECT run_uuid, status, start_time, end_time, "
        "max(r.lifecycle_stage, e.lifecycle_stage), e.name, e.lifecycle_stage "
        "FROM runs r JOIN experiments e ON e.experiment_id = r.experiment_id",
    )
    return {origin[run]: tuple(more) for run, *more in found}


def _own(tags: dict[str, str], origin: dict[str, str]) -> dict[str, str]:
    """Without the marks of a move and the names that MLflow 3 makes up; ids as at the source."""
    kept = {}
    for key, value in tags.items():
        if key.startswith("wine_quality.moved") or key == "mlflow.runName":
            continue
        for run, first in origin.items():
            value = value.replace(run, first)
        # The address holds the experiment's number, which is another one.
        kept[key] = value if "artifact" not in key else ""
    return kept


def _by_run(database: Path, what: str, origin: dict[str, str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {}
    for run, *more in rows(database, f"SELECT run_uuid, {what}"):
        found.setdefault(origin[run], []).append(tuple(more))
    return {run: sorted(more) for run, more in found.items()}


def _hashes(artifacts: Path, run: str) -> dict[str, str]:
    found = {}
    for folder in artifacts.glob(f"**/{run}/artifacts"):
        for path in folder.rglob("*"):
            if path.is_file():
                name = path.relative_to(folder).as_posix()
                found[name] = hashlib.sha256(path.read_bytes()).hexdigest()
    return found


def _versions(database: Path, origin: dict[str, str]) -> list[tuple[Any, ...]]:
    """Those that are not deleted, with the tags that are not a move's."""
    tags: dict[tuple[str, int], list[tuple[str, str]]] = {}
    for name, number, key, value in rows(
        database, "SELECT name, version, key, value FROM model_version_tags"
    ):
        if not key.startswith(("wine_quality.moved", "wine_quality.signature")):
            tags.setdefault((name, number), []).append((key, value))
    found = rows(
        database,
        "SELECT name, version, current_stage, run_id, description FROM model_versions "
        "WHERE current_stage <> 'Deleted_Internal'",
    )
    return [
        (name, number, stage, origin.get(run, ""), text or "", sorted(tags.get((name, number), [])))
        for name, number, stage, run, text in found
    ]
