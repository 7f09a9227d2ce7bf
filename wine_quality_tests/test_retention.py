"""Old runs and versions on each version's real server: what goes, what stays, and in which order.

Made by `make run`, or as the pipeline's would be by REST; a change of times in the server's
database makes them old.
"""

from __future__ import annotations

import resource
import signal
import sqlite3
import subprocess
import time
import urllib.error
import uuid
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.versions import PROJECT_ROOT
from wine_quality_tests.fault_proxy import FaultProxy
from wine_quality_tests.servers import MlflowServer
from wine_quality_tests.test_promotion import BEST, POOR, Registry

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

DECISION = "wine_quality.decision"
PREVIOUS = "wine_quality.previous_champion"
PARENT = "mlflow.parentRunId"
YEAR = 365 * 24 * 3600 * 1000


@pytest.fixture
def registry(home, mlflow_version, mlflow_server: Callable, tmp_path: Path) -> Registry:
    return Registry(mlflow_version, mlflow_server(mlflow_version), tmp_path)


def age(server: MlflowServer, name: str, *, versions: str = "1=1", runs: str = "1=1") -> None:
    """Make the runs of the experiment, and the versions of the model, a year older."""
    with closing(sqlite3.connect(server.database, timeout=30)) as database, database:
        database.execute(
            f"UPDATE runs SET start_time = start_time - {YEAR}, end_time = end_time - {YEAR} "
            "WHERE experiment_id = (SELECT experiment_id FROM experiments WHERE name = ?) "
            f"AND ({runs})",
            (name,),
        )
        database.execute(
            f"UPDATE model_versions SET creation_time = creation_time - {YEAR}, "
            f"last_updated_time = last_updated_time - {YEAR} WHERE name = ? AND ({versions})",
            (name,),
        )


def numbers(registry: Registry) -> list[int]:
    return sorted(int(found["version"]) for found in registry.server.versions(registry.name))


def left(registry: Registry) -> set[str]:
    return {run["info"]["run_id"] for run in registry.server.runs(registry.name)}


def make_run(registry: Registry, status: str = "FINISHED", **tags: str) -> str:
    """A run of the experiment, with the pipeline's tag unless ``tags`` are given; its id."""
    server = registry.server
    found = server.runs(registry.name)
    if found:
        experiment = found[0]["info"]["experiment_id"]
    else:
        experiment = server.rest("experiments/create", name=registry.name)["experiment_id"]
    now = int(time.time() * 1000)
    named = tags or {"dagster.run_id": uuid.uuid4().hex}
    run = server.rest(
        "runs/create",
        experiment_id=experiment,
        start_time=now,
        tags=[{"key": key, "value": value} for key, value in named.items()],
    )["run"]["info"]["run_id"]
    server.rest("runs/update", run_id=run, status=status, end_time=now)
    return run


def make_version(registry: Registry, **tags: str) -> str:
    """A version that was refused, with a run of its own; the run's id."""
    run = make_run(registry)
    register(registry, registry.name, run, {"dagster.run_id": "x", DECISION: "refused", **tags})
    return run


def register(registry: Registry, name: str, run: str, tags: dict[str, str]) -> None:
    files = registry.server.rest(f"runs/get?run_id={run}", "GET")["run"]["info"]["artifact_uri"]
    try:
        registry.server.rest("registered-models/create", name=name)
    except urllib.error.HTTPError:
        pass  # there already
    registry.server.rest(
        "model-versions/create",
        name=name,
        source=f"{files}/model",
        run_id=run,
        tags=[{"key": key, "value": value} for key, value in tags.items()],
    )


def test_only_what_is_old_and_never_served_goes(registry):
    registry.train(POOR)  # 1: champion
    registry.train(BEST)  # 2: champion, withdrawn
    registry.do("rollback")
    registry.train(POOR)  # 3: challenger
    refused = make_version(registry)  # 4
    held = make_version(registry)  # 5: another model has its files
    register(registry, f"{registry.name}-other", held, {})
    young = make_version(registry)  # 6
    make_version(registry, **{DECISION: "open"})  # 7
    others = make_run(registry, note="by hand")
    register(registry, registry.name, others, {})  # 8: made by other hands
    busy = make_version(registry)  # 9: taken up again
    make_version(registry, **{PREVIOUS: "11"})  # 10: former champion
    make_version(registry)  # 11: the one before, by its successor's word
    failed = make_run(registry, "FAILED")
    assert (registry.champion, registry.challenger) == ("1", "3")
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
    said = registry.do("retention", "--delete")
    assert "2 runs and 1 versions are removed" in said
    assert numbers(registry) == [1, 2, 3, 5, 6, 7, 8, 9, 10, 11]
    assert left(registry) == everything - {refused, failed}
    assert (registry.champion, registry.challenger) == ("1", "3")
    assert "0 runs and 0 versions are removed" in registry.do("retention", "--delete")


def test_a_run_goes_with_those_below_it_also_after_an_interruption(registry):
    parent = make_version(registry)
    children = {make_run(registry, **{PARENT: parent}) for _ in range(3)}
    unfinished = make_version(registry)
    running = make_run(registry, **{PARENT: unfinished})
    age(registry.server, registry.name)
    registry.server.rest("runs/update", run_id=running, status="RUNNING")
    proxy = FaultProxy(registry.server.uri)
    try:
        # One child is deleted, and no more.
        proxy.hold(r"/runs/delete", after=1)
        process = subprocess.Popen(
            registry.command("retention", "--delete", uri=proxy.uri),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            cwd=PROJECT_ROOT,
        )
        assert proxy.held.wait(120)
        process.send_signal(signal.SIGINT)
        proxy.release()
        said, _ = process.communicate(timeout=120)
    finally:
        proxy.stop()
    assert process.returncode == 130, said
    # The version first, the parent last: what is left can be found again.
    assert numbers(registry) == [2]
    assert parent in left(registry) and not children <= left(registry)
    assert "1 runs and 0 versions are removed" in registry.do("retention", "--delete")
    assert left(registry) == {unfinished, running}
    # Marked, and no more than that.
    tags = registry.server.rest(f"runs/get?run_id={parent}", "GET")["run"]["data"]["tags"]
    assert "wine_quality.retired" in [tag["key"] for tag in tags]
    registry.server.rest("runs/restore", run_id=parent)
    assert parent in left(registry)


def test_a_version_promoted_meanwhile_stays(registry, tmp_path: Path):
    """Between the look and the deletion a person makes an old version the champion."""
    runs = [make_version(registry) for _ in range(2)]
    age(registry.server, registry.name)
    proxy = FaultProxy(registry.server.uri)
    log = tmp_path / "log"
    try:
        proxy.hold(r"mlflow-artifacts/artifacts\?")  # sizes are asked for after the plan is made
        process = subprocess.Popen(
            registry.command("retention", "--delete", uri=proxy.uri),
            stdout=log.open("wb"),
            stderr=subprocess.STDOUT,
            cwd=PROJECT_ROOT,
        )
        assert proxy.held.wait(120), log.read_text()
        registry.do("promote", "--version", "2")
        proxy.release()
        assert process.wait(120) == 0, log.read_text()
    finally:
        proxy.stop()
    assert "version 2 is in use now: it stays." in log.read_text()
    assert (numbers(registry), registry.champion) == ([2], "2")
    assert left(registry) == {runs[1]}


def test_ten_thousand_runs(registry):
    """Looked at in one pass; what the command takes is measured."""
    make_version(registry)
    make_version(registry)
    age(registry.server, registry.name)
    many(registry, 10_000)
    began = time.monotonic()
    shown = registry.do("retention")
    seconds = time.monotonic() - began
    assert "runs           10002 and 0 below them" in shown
    assert "versions       2 (0 stay)" in shown
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    print(f"MLflow {registry.key}: {seconds:.1f} s, peak {peak / 1024:.0f} MiB")
    assert peak < 900 * 1024
    assert seconds < 120


def many(registry: Registry, number: int) -> None:
    """Copy a run, with its tags, so often."""
    source = registry.server.runs(registry.name)[0]["info"]["run_id"]
    with closing(sqlite3.connect(registry.server.database, timeout=30)) as database, database:
        for table in ("runs", "tags"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ["printf('%032x', n)" if c == "run_uuid" else c for c in columns]
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) WITH RECURSIVE numbers(n) AS "
                "(SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < ?) "
                f"SELECT {', '.join(values)} FROM {table}, numbers WHERE run_uuid = ?",
                (number, source),
            )
