"""Old runs and versions on a real server, made by REST and aged in its database; few or many."""

from __future__ import annotations

import re
import resource
import sqlite3
import time
import urllib.error
import uuid
from contextlib import closing
from typing import NamedTuple

from wine_quality.tracking.registry.champion import DECISION_TAG
from wine_quality_tests.integration.test_promotion import Registry
from wine_quality_tests.support.servers import MlflowServer

YEAR = 365 * 24 * 3600 * 1000


class Retired(NamedTuple):
    """The cost of so many runs: seconds of each command, and the peak of the larger in MiB."""

    shown: float
    removed: float
    mib: float


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


def make_run(
    registry: Registry, status: str = "FINISHED", experiment_name: str = "", **tags: str
) -> str:
    """A run of the experiment, with the pipeline's tag unless ``tags`` are given; its id."""
    server, name = registry.server, experiment_name or registry.name
    found = server.runs(name)
    if found:
        experiment = found[0]["info"]["experiment_id"]
    else:
        experiment = server.rest("experiments/create", name=name)["experiment_id"]
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
    register(registry, registry.name, run, {"dagster.run_id": "x", DECISION_TAG: "refused", **tags})
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


def give_role(registry: Registry, number: int, role: str) -> None:
    """``champion`` or ``challenger``: an alias, or the stage that stands for it."""
    named = {"name": registry.name, "version": str(number)}
    if registry.key == "3":
        registry.server.rest("registered-models/alias", alias=role, **named)
    else:
        stage = {"champion": "Production", "challenger": "Staging"}[role]
        registry.server.rest("model-versions/transition-stage", stage=stage, **named)


def retire_many(registry: Registry, number: int) -> Retired:
    """Old runs, so many, and two versions: looked at, then removed; a young run stays."""
    make_version(registry)
    make_version(registry)
    age(registry.server, registry.name)
    many(registry, number)
    young = make_run(registry)
    began = time.monotonic()
    output = registry.do("retention")
    shown = time.monotonic() - began
    assert re.search(rf"^runs +{number + 2} and 0 below them", output, re.MULTILINE), output
    assert "versions       2 (0 stay)" in output
    began = time.monotonic()
    output = registry.do("retention", "--delete", seconds=7200)
    removed = time.monotonic() - began
    assert f"{number + 2} runs and 2 versions are removed" in output
    assert [run["info"]["run_id"] for run in registry.server.runs(registry.name)] == [young]
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return Retired(shown, removed, peak)


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
