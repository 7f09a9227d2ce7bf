"""Invariants of a platform after any fault, asked of its stores: PostgreSQL and the bucket.

Nothing here asks Dagster or an MLflow server, which might both be wrong in the same way.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import yaml

from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_STATE_TAG,
)
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.stack_client import Stack
from wine_quality_tests.support.warm_commands import run_python

NEVER_LAUNCHED = "NOT_STARTED"
"""Of a launch that was refused half-way; whoever launched it was told, and nothing of it runs."""
ENDED_AS = {"SUCCESS": "FINISHED", "FAILURE": "FAILED", "CANCELED": "KILLED"}
JOB = "wine_quality_model"
_DAGSTER_RUNS = f"""
    SELECT r.run_id, r.status, r.pipeline_name, o.value, s.value, m.value FROM runs r
    LEFT JOIN run_tags o ON o.run_id = r.run_id AND o.key = '{MLFLOW_OWNER_TAG}'
    LEFT JOIN run_tags s ON s.run_id = r.run_id AND s.key = '{MLFLOW_STATE_TAG}'
    LEFT JOIN run_tags m ON m.run_id = r.run_id AND m.key = '{MLFLOW_RUN_TAG}'"""
_MLFLOW_RUNS = """
    SELECT r.run_uuid, r.status, d.value, o.value FROM runs r
    LEFT JOIN tags d ON d.run_uuid = r.run_uuid AND d.key = 'dagster.run_id'
    LEFT JOIN tags o ON o.run_uuid = r.run_uuid AND o.key = 'dagster.root_run_id'
    WHERE r.lifecycle_stage = 'active'"""
_VERSIONS = """
    SELECT name, version, run_id, {where} FROM model_versions
    WHERE current_stage IS DISTINCT FROM 'Deleted_Internal'"""
_KEPT = "SELECT run_id, metric, value FROM wine_quality.evaluation_metrics"


@dataclass
class Stored:
    """All that the stores hold.

    Attributes:
        dagster: Job, status, and what its tags say of its MLflow run, by Dagster run.
        tracked: MLflow run, by the Dagster run whose tags name it as its own.
        mlflow: Status, Dagster run and root Dagster run, by MLflow version and run.
        versions: MLflow run and place of the files, by MLflow version, model and number.
        artifacts: Size of each object in MLflow's bucket.
        assets: Size of each asset value.
        metrics: Rows of the metrics history.
    """

    dagster: dict[str, tuple[str, str, bool]]
    tracked: dict[str, str]
    mlflow: dict[tuple[str, str], tuple[str, str | None, str | None]]
    versions: dict[tuple[str, str, int], tuple[str, str]]
    artifacts: dict[str, int] = field(repr=False)
    assets: dict[str, int] = field(repr=False)
    metrics: set[tuple[Any, ...]] = field(repr=False)


def stored(stack: Stack) -> Stored:
    """Read everything now."""
    rows = stack.query("dagster", "DAGSTER", _DAGSTER_RUNS)
    dagster = {
        run: (job, status, owner == run and state == "open")
        for run, status, job, owner, state, _ in rows
    }
    tracked = {run: mlflow_run for run, _, _, owner, _, mlflow_run in rows if owner == run}
    mlflow, versions = {}, {}
    for key in stack.versions:
        database = f"mlflow_{key.replace('.', '_')}"
        for run, status, dagster_run, root in stack.query(database, "MLFLOW", _MLFLOW_RUNS):
            mlflow[key, run] = (status, dagster_run, root)
        query = _VERSIONS.format(where="storage_location" if key == "3" else "source")
        for name, number, run, place in stack.query(database, "MLFLOW", query):
            versions[key, name, number] = (run, place)
    return Stored(
        dagster,
        tracked,
        mlflow,
        versions,
        stack.artifacts(),
        stack.assets(),
        set(_rows_if_there(stack)),
    )


def _rows_if_there(stack: Stack) -> list[tuple[Any, ...]]:
    import psycopg2.errors

    try:
        return stack.query("metrics", "METRICS", _KEPT)
    except psycopg2.errors.UndefinedTable:
        return []  # no run has been evaluated yet


def disagreements(now: Stored) -> list[str]:
    """Runs that have not ended, or not alike in both."""
    text = [
        f"Dagster run {run} is {status}"
        for run, (_, status, _) in now.dagster.items()
        if status not in (*ENDED_AS, NEVER_LAUNCHED)
    ]
    text += [
        f"Dagster run {run} has ended, and its MLflow run counts as open"
        for run, (_, status, is_open) in now.dagster.items()
        if is_open and status in ENDED_AS
    ]
    for (key, run), (status, dagster_run, _) in now.mlflow.items():
        if status == "RUNNING":
            text.append(f"MLflow {key} run {run} is RUNNING")
        elif dagster_run is not None:
            _, of_dagster, _ = now.dagster.get(dagster_run, ("", "unknown", False))
            if ENDED_AS.get(of_dagster) != status:
                text.append(f"MLflow {key} run {run} is {status}, Dagster's {of_dagster}")
    return text


def duplicates(now: Stored) -> list[str]:
    """MLflow runs made twice for a Dagster run and its retries; versions made twice for a run."""
    runs = Counter((key, root) for (key, _), (_, _, root) in now.mlflow.items() if root)
    text = [
        f"{count} MLflow {key} runs belong to Dagster run {root}"
        for (key, root), count in runs.items()
        if count > 1
    ]
    made = Counter((key, run) for (key, _, _), (run, _) in now.versions.items())
    text += [
        f"{n} versions belong to MLflow {key} run {run}" for (key, run), n in made.items() if n > 1
    ]
    return text


def missing_results(now: Stored) -> list[str]:
    """Runs of the job that ended well without a finished MLflow run that has a version."""
    registered = {run for run, _ in now.versions.values()}
    return [
        f"Dagster run {run} ended well and registered nothing"
        for run, (job, status, _) in now.dagster.items()
        if job == JOB and status == "SUCCESS" and now.tracked.get(run) not in registered
    ]


def incomplete_versions(stack: Stack, now: Stored) -> list[str]:
    """Registered versions with a file missing that their MLmodel names, or none of that."""
    client = stack.s3("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    messages = []
    for (key, name, number), (_, place) in now.versions.items():
        folder = place.removeprefix("mlflow-artifacts:/").strip("/")
        if not now.artifacts.get(f"{folder}/MLmodel"):
            messages.append(f"MLflow {key} {name} version {number} has no MLmodel in {folder}")
            continue
        bucket = stack.settings["MLFLOW_BUCKET"]
        body = client.get_object(Bucket=bucket, Key=f"{folder}/MLmodel")["Body"].read()
        messages += [
            f"MLflow {key} {name} version {number} lacks {file}"
            for file in _files_of(yaml.safe_load(body))
            if not now.artifacts.get(f"{folder}/{file}")
        ]
    return messages


def _files_of(mlmodel: dict[str, Any]) -> set[str]:
    """Every file that an MLmodel names."""
    flavors = mlmodel["flavors"]
    environment = flavors["python_function"].get("env", [])
    named = environment.values() if isinstance(environment, dict) else [environment]
    example = mlmodel.get("saved_input_example_info") or {}
    found = {flavors["sklearn"]["pickled_model"], "requirements.txt", *named}
    return {str(file) for file in found if file} | set(filter(None, [example.get("artifact_path")]))


def losses(before: Stored, now: Stored) -> list[str]:
    """Things that were committed before a fault and are not there any more."""
    messages = []
    for run, (job, status, _) in before.dagster.items():
        if status in ENDED_AS and now.dagster.get(run, ("", "", False))[:2] != (job, status):
            messages.append(f"Dagster run {run} was {status}, is {now.dagster.get(run)}")
    for run, (status, *_) in before.mlflow.items():
        if status == "FINISHED" and now.mlflow.get(run, ("",))[0] != status:
            messages.append(f"MLflow run {run} was FINISHED, is {now.mlflow.get(run)}")
    messages += [
        f"{version} is gone or changed"
        for version, what in before.versions.items()
        if now.versions.get(version) != what
    ]
    for was, are in ((before.artifacts, now.artifacts), (before.assets, now.assets)):
        messages += [f"object {key} is gone" for key, n in was.items() if n and are.get(key) != n]
    messages += [f"metrics row {row} is gone" for row in before.metrics - now.metrics]
    return messages


def broken(stack: Stack, before: Stored) -> list[str]:
    """Every invariant that does not hold now, in a sentence each; loading is asked apart."""
    now = stored(stack)
    return [
        *disagreements(now),
        *duplicates(now),
        *missing_results(now),
        *incomplete_versions(stack, now),
        *losses(before, now),
    ]


_LOAD = """
import sys, mlflow, pandas
for name in sys.argv[1:]:
    frame = pandas.DataFrame([[7.0] * 11], columns=COLUMNS)
    [value] = mlflow.pyfunc.load_model(f"models:/{name}").predict(frame)
    assert 0 < value < 10, (name, value)
    print(name)
"""


def unloadable_versions(stack: Stack, now: Stored) -> list[str]:
    """Registered versions that their own MLflow cannot load and ask; one process a version."""
    from wine_quality.datasets.contract import FEATURES

    messages = []
    for key in stack.versions:
        names = [f"{name}/{number}" for k, name, number in now.versions if k == key]
        version = get_version(key)
        done = run_python(
            *(version.python, "-W", "ignore", "-c"),
            *(_LOAD.replace("COLUMNS", repr(list(FEATURES))), *names),
            env={
                **version.process_variables(),
                "PYTHONPATH": str(PROJECT_ROOT),
                "MLFLOW_TRACKING_URI": stack.mlflow(key),
                "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            },
            timeout=60 + 5 * len(names),
        )
        if sorted(done.stdout.split()) != sorted(names):
            missing = sorted(set(names) - set(done.stdout.split()))
            messages.append(f"MLflow {key} cannot load {missing[:3]}: {done.stderr[-800:]}")
    return messages
