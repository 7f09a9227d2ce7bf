"""Old runs and versions on each version's real server: what goes, what stays, and in which order.

Made by `make run`, or as the pipeline's would be by REST; a change of times in the server's
database makes them old.
"""

from __future__ import annotations

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from wine_quality.cli.gc import sqlite_reader
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.registry.champion import DECISION_TAG, PREVIOUS_TAG, WITHDRAWN_TAG
from wine_quality.tracking.runs.child_runs import children_experiment
from wine_quality.upkeep.artifact_files import FolderFiles
from wine_quality.upkeep.purge import carry_out, plan_purge
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.many_runs import (
    age,
    give_role,
    make_run,
    make_version,
    register,
)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PARENT = "mlflow.parentRunId"


@pytest.fixture
def registry(home, mlflow_version, mlflow_server: Callable, tmp_path: Path) -> Registry:
    return Registry(mlflow_version, mlflow_server(mlflow_version), tmp_path)


@pytest.fixture
def newest(home, mlflow_server: Callable, tmp_path: Path) -> Registry:
    """On MLflow 3 alone: the order in which things go is that of one code for all versions."""
    version = MLFLOW_VERSIONS["3"]
    return Registry(version, mlflow_server(version), tmp_path)


def numbers(registry: Registry) -> list[int]:
    return sorted(int(found["version"]) for found in registry.server.versions(registry.name))


def left(registry: Registry, experiment: str = "") -> set[str]:
    runs = registry.server.runs(experiment or registry.name)
    return {run["info"]["run_id"] for run in runs}


@pytest.mark.parametrize("mlflow_version", ["1.26", "3"], indirect=True)
def test_only_what_is_old_and_never_served_goes(registry):
    make_version(registry)  # 1: champion
    make_version(registry, **{WITHDRAWN_TAG: "1"})  # 2: champion, withdrawn
    make_version(registry)  # 3: challenger
    give_role(registry, 1, "champion")
    give_role(registry, 3, "challenger")
    refused = make_version(registry)  # 4
    held = make_version(registry)  # 5: another model has its files
    register(registry, f"{registry.name}-other", held, {})
    young = make_version(registry)  # 6
    make_version(registry, **{DECISION_TAG: "open"})  # 7
    others = make_run(registry, note="by hand")
    register(registry, registry.name, others, {})  # 8: made by other hands
    busy = make_version(registry)  # 9: taken up again
    make_version(registry, **{PREVIOUS_TAG: "11"})  # 10: former champion
    make_version(registry)  # 11: the one before, by its successor's word
    failed = make_run(registry, "FAILED")
    assert (registry.champion, registry.challenger) == ("1", "3")
    put_files(registry, refused, "training/record.json", "model/MLmodel")
    put_files(registry, held, "model/MLmodel")
    put_files(registry, failed, "note")
    model = log_model(registry, refused)
    lost, young_lost = uuid.uuid4().hex, uuid.uuid4().hex  # runs that nobody knows
    put_files(registry, lost, "model/MLmodel", age=7200)
    put_files(registry, young_lost, "model/MLmodel")
    everything = left(registry)
    age(registry.server, registry.name, versions="version <> 6", runs=f"run_uuid <> '{young}'")
    registry.server.rest("runs/update", run_id=busy, status="RUNNING")

    shown = registry.do("retention")
    assert "a dry run: ARGS=--delete removes them" in shown
    assert "runs           2 and 0 below them" in shown
    assert refused in shown and failed in shown
    assert numbers(registry) == list(range(1, 12))
    assert left(registry) == everything

    # 5 goes from the model, its run stays for the other one.
    output = registry.do("retention", "--delete")
    assert "2 runs and 1 versions are removed" in output
    assert numbers(registry) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert left(registry) == everything - {refused, failed}
    assert (registry.champion, registry.challenger) == ("1", "3")

    # Their files, and no other file of the server.
    files, look = FolderFiles(registry.server.artifacts), sqlite_reader(registry.server.database)
    before = all_files(registry)
    an_hour_ago, now = time.time() - 3600, time.time() + 1
    planned = plan_purge(files, look, an_hour_ago)
    assert planned.retired == {} and set(planned.without_run) == {lost}
    planned = plan_purge(files, look, now)
    assert {refused, *([model] if model else [])} <= set(planned.retired)
    assert set(planned.without_run) >= {lost, young_lost}
    registry.server.rest("runs/restore", run_id=failed)  # a person wants it back
    carry_out(planned, files, look, an_hour_ago, print)
    assert before - all_files(registry) == files_of(registry, lost, before)
    carry_out(plan_purge(files, look, now), files, look, now, print)
    gone = files_of(registry, refused, before) | files_of(registry, lost, before)
    gone |= files_of(registry, young_lost, before) | files_of(registry, model or refused, before)
    assert len(gone) == (5 if model else 4)
    mine = {name for name in before if name.startswith(f"{experiment_of(registry)}/")}
    assert mine - all_files(registry) == gone
    assert files_of(registry, held, before) and files_of(registry, failed, before)


def files_of(registry: Registry, name: str, files: set[str]) -> set[str]:
    return {file for file in files if f"/{name}/" in file}


def all_files(registry: Registry) -> set[str]:
    folder = registry.server.artifacts
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def experiment_of(registry: Registry) -> str:
    return registry.server.runs(registry.name)[0]["info"]["experiment_id"]


def put_files(registry: Registry, name: str, *paths: str, age: float = 0) -> None:
    """As the server itself would, below the folder of a run, or of ``models/m-…``."""
    for path in paths:
        file = registry.server.artifacts / experiment_of(registry) / name / "artifacts" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("wine")
        os.utime(file, (time.time() - age, time.time() - age))


def log_model(registry: Registry, run: str) -> str | None:
    """A model of MLflow 3 that lies beside its run; its id, None on other versions."""
    if registry.key != "3":
        return None
    experiment = experiment_of(registry)
    asked = {"experiment_id": experiment, "name": "model", "source_run_id": run}
    model = registry.server.rest("logged-models", **asked)["model"]["info"]["model_id"]
    put_files(registry, f"models/{model}", "MLmodel")
    return model


def test_a_run_goes_with_those_below_it_also_after_an_interruption(newest):
    parent = make_version(newest)
    apart = children_experiment(newest.name)
    # One as older commits wrote them, in the experiment of the runs.
    children = {make_run(newest, **{PARENT: parent})}
    children |= {make_run(newest, experiment_name=apart, **{PARENT: parent}) for _ in range(2)}
    unfinished = make_version(newest)
    running = make_run(newest, experiment_name=apart, **{PARENT: unfinished})
    theirs = make_run(newest, experiment_name=apart)  # nobody's child
    age(newest.server, newest.name)
    age(newest.server, apart)
    newest.server.rest("runs/update", run_id=running, status="RUNNING")
    proxy = FaultProxy(newest.server.uri)
    try:
        # One child is deleted, and no more.
        proxy.hold(r"/runs/delete", after=1)
        process = subprocess.Popen(
            newest.command("retention", "--delete", uri=proxy.uri),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT_ROOT,
        )
        assert proxy.held.wait(120)
        process.send_signal(signal.SIGINT)
        proxy.release()
        output, _ = process.communicate(timeout=120)
    finally:
        proxy.stop()
    assert process.returncode == 130, output
    # The version first, the parent last: what is left can be found again.
    assert numbers(newest) == [2]
    assert parent in left(newest) and not children <= left(newest) | left(newest, apart)
    assert "1 runs and 0 versions are removed" in newest.do("retention", "--delete")
    assert left(newest) == {unfinished}
    assert left(newest, apart) == {running, theirs}
    # Marked, and no more than that.
    tags = newest.server.rest(f"runs/get?run_id={parent}", "GET")["run"]["data"]["tags"]
    assert "wine_quality.retired" in [tag["key"] for tag in tags]
    newest.server.rest("runs/restore", run_id=parent)
    assert parent in left(newest)


def test_a_version_promoted_meanwhile_stays(newest, tmp_path: Path):
    """Between the look and the deletion a person makes an old version the champion."""
    runs = [make_version(newest) for _ in range(2)]
    age(newest.server, newest.name)
    proxy = FaultProxy(newest.server.uri)
    log = tmp_path / "log"
    try:
        proxy.hold(r"mlflow-artifacts/artifacts\?")  # sizes are asked for after the plan is made
        process = subprocess.Popen(
            newest.command("retention", "--delete", uri=proxy.uri),
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=PROJECT_ROOT,
        )
        assert proxy.held.wait(120), log.read_text()
        give_role(newest, 2, "champion")
        proxy.release()
        assert process.wait(120) == 0, log.read_text()
    finally:
        proxy.stop()
    assert "version 2 is in use now: it stays." in log.read_text()
    assert (numbers(newest), newest.champion) == ([2], "2")
    assert left(newest) == {runs[1]}
