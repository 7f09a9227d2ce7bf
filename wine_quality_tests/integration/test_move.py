"""`make move` between real stores and servers: refused, killed, done, repeated, gone on with."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import wine_quality.paths
from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.auth_server import ADMIN, ADMIN_PASSWORD, AuthServer
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
from wine_quality_tests.support.upgrades import MIDDLE, NAME, NEW, OLD, config_in, train
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

CHAMPIONS = (
    "SELECT version FROM registered_model_aliases WHERE alias = 'champion' AND name LIKE 'O%'"
)
needs_old = pytest.mark.skipif(
    os.environ.get("WINE_QUALITY_MOVE_TEST") != "all" or not OLD.python.exists(),
    reason="it takes a minute of CPU: WINE_QUALITY_MOVE_TEST=all, and Python 3.11",
)


@pytest.fixture
def home(tmp_path, monkeypatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path / "home"))
    for name in [name for name in os.environ if name.startswith(("MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("WINE_QUALITY_METRICS_URL", raising=False)
    return wine_quality.paths.home()


@pytest.fixture
def config(tmp_path) -> Path:
    return config_in(tmp_path)


def move(*arguments: str, code: int = 0) -> str:
    done = run_command("move", *arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def report(name: str) -> dict[str, Any]:
    return json.loads((wine_quality.paths.home() / "moves" / name / "report.json").read_text())


def kill_when(condition: Callable[[], bool]) -> None:
    """SIGKILL a move as soon as it holds at the target."""
    command = [sys.executable, "-m", "wine_quality", "move", "1.26", "3", "--apply"]
    process = subprocess.Popen(
        dying_with_us(*command), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, cwd=PROJECT_ROOT
    )
    try:
        await_condition(lambda: condition() or process.poll() is not None, "its step", 300)
    finally:
        process.send_signal(signal.SIGKILL)
        _, errors = process.communicate()
    assert process.returncode == -signal.SIGKILL, errors


@needs_old
def test_the_embedded_stores_from_1_26_to_3(home: Path, config: Path):
    source, target = home / "mlflow-1.26", home / "mlflow-3" / "mlflow.db"
    database = source / "mlflow.db"
    train(config, "1.26", "0.5")
    assert "takes the place of version 1" in train(config, "1.26", "0.01")
    under_way = seed(OLD, f"sqlite:///{database}", NAME, str(source / "artifacts"))
    output = move("1.26", "3", code=1)
    assert f"1 run is under way ({under_way} of Default)" in output
    assert "versions       8 " in output and not target.exists()
    with closing(sqlite3.connect(database)) as connection, connection:
        ended = "UPDATE runs SET status = 'FINISHED', end_time = 7 WHERE run_uuid = ?"
        connection.execute(ended, (under_way,))

    def has(sql: str, number: int) -> Callable[[], bool]:
        return lambda: target.exists() and len(rows(target, sql)) >= number

    complete = "SELECT 1 FROM tags WHERE key = 'wine_quality.moved' AND value = 'complete'"
    kill_when(has(complete, 2))
    assert not rows(target, "SELECT * FROM model_versions")
    kill_when(has("SELECT * FROM model_versions", 1))
    output = move("1.26", "3", "--apply", code=1)
    assert f"not carried    model {REFUSED}: " in output
    found = report("1.26-to-3")
    left = [(one["kind"], one["name"]) for one in found["not_carried"]]
    assert left == [("model", REFUSED), ("version", f"{REFUSED} version 1")]
    assert {"model": NAME, "champion": "2", "challenger": None} in found["roles"]
    assert {"model": MODEL, "champion": None, "challenger": "5"} in found["roles"]
    require_same(database, source / "artifacts", target, home / "mlflow-3" / "artifacts")
    signed = "SELECT version FROM model_version_tags WHERE key = 'wine_quality.signature'"
    assert rows(target, f"{signed} ORDER BY version") == [(1,), (2,)]  # as at the source

    # Once more: what was added since then is copied, and nothing else.
    runs = [one for (one,) in rows(target, "SELECT run_uuid FROM runs")]
    add_more(OLD, f"sqlite:///{database}")
    move("1.26", "3", "--apply", code=1)
    counts = report("1.26-to-3")["counts"]
    assert {kind: one["copied"] for kind, one in counts.items()} == {
        "experiments": 0,
        "runs": 1,
        "models": 0,
        "versions": 1,
    }
    assert len(set(runs) & {one for (one,) in rows(target, "SELECT run_uuid FROM runs")}) == 8
    require_same(database, source / "artifacts", target, home / "mlflow-3" / "artifacts")

    output = train(config, "3", "0.7")
    assert "version 2 (RMSE 0.677856) stays the champion; version 5 (RMSE 0.829892)" in output
    assert rows(target, CHAMPIONS) == [(2,)]


def require_same(
    database: Path, files: Path, target: Path, target_files: Path, refused: str = REFUSED
) -> None:
    """All but the model whose name MLflow 3 refuses."""
    before, after = contents(database, files), contents(target, target_files)
    for kind in ("models", "versions"):
        assert len(before[kind]) - bool(refused) == len(after[kind])
        before[kind] = [one for one in before[kind] if one[0] != refused]
    for kind, wanted in before.items():
        assert after[kind] == wanted, kind
    numbers = [one[1] for one in after["versions"] if one[0] == MODEL]
    assert numbers[:3] == [1, 2, 5]
    assert sum(map(len, before["metrics"].values())) > 4 * 1200 and len(before["runs"]) >= 7


@pytest.fixture
def serve(tmp_path) -> Iterator[Callable[..., MlflowServer]]:
    """Starts a server of a version, of the given kind."""
    running: list[MlflowServer] = []

    def start(version: MlflowVersion, kind: type[MlflowServer] = MlflowServer) -> MlflowServer:
        running.append(kind(version, tmp_path / version.key))
        return running[-1]

    try:
        yield start
    finally:
        for server in running:
            server.stop()


@needs_old
@pytest.mark.parametrize("by_servers", [False, True], ids=["stores", "servers"])
@pytest.mark.parametrize(
    ("source", "target"), [(OLD, MIDDLE), (MIDDLE, NEW)], ids=lambda version: version.key
)
def test_by_way_of_2_1_1(home: Path, config: Path, serve, source, target, by_servers: bool):
    """Copied object by object, the better version champion on both sides, and nothing twice."""
    files, addresses = [], {}
    for version in (source, target):
        if by_servers:
            server = serve(version)
            files.append((server.database, server.artifacts))
            addresses[version.key] = server.uri
        else:
            folder = home / f"mlflow-{version.key}"
            files.append((folder / "mlflow.db", folder / "artifacts"))
    options = ["--apply"]
    if by_servers:
        options += ["--from-uri", addresses[source.key], "--to-uri", addresses[target.key]]
    place = ["--tracking-uri", addresses[source.key]] if by_servers else []
    train(config, source.key, "0.5", *place)
    assert "takes the place of version 1" in train(config, source.key, "0.01", *place)
    (database, artifacts), _ = files
    uri = addresses.get(source.key, f"sqlite:///{database}")
    under_way = seed(source, uri, NAME, "" if by_servers else str(artifacts))
    ended = f"UPDATE runs SET status = 'FINISHED', end_time = 7 WHERE run_uuid = '{under_way}'"
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        connection.execute(ended)
    refused = REFUSED if target is NEW else ""
    move(source.key, target.key, *options, code=1 if refused else 0)
    require_same(*files[0], *files[1], refused=refused)
    found = report(f"{source.key}-to-{target.key}")
    assert {"model": NAME, "champion": "2", "challenger": None} in found["roles"]
    move(source.key, target.key, *options, code=1 if refused else 0)
    counts = report(f"{source.key}-to-{target.key}")["counts"]
    assert {one["copied"] for one in counts.values()} == {0}
    place = ["--tracking-uri", addresses[target.key]] if by_servers else []
    output = train(config, target.key, "0.7", *place)
    assert "version 2 (RMSE 0.677856) stays the champion; version 5 (RMSE 0.829892)" in output


@needs_old
def test_servers_and_logged_models(home: Path, config: Path, serve):
    """1.26 → 3 by both servers, of which the second asks for a login; then what MLflow 3 alone has,
    from there to an embedded store."""
    old, new = serve(OLD), serve(NEW, AuthServer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINE_QUALITY_MLFLOW_URI_1_26", old.uri)
        train(config, "1.26", "0.5")
        under_way = seed(OLD, old.uri, NAME)
        old.rest("runs/update", run_id=under_way, status="FINISHED", end_time=7)
        output = move("1.26", "3", "--to-uri", new.uri, "--apply", code=1)
        wanted = "Set WINE_QUALITY_TO_MLFLOW_TRACKING_USERNAME and WINE_QUALITY_TO_MLFLOW_"
        assert wanted in output and "answered 401" in output and "Traceback" not in output
        log_in(patch, "WINE_QUALITY_TO_")
        output = move("1.26", "3", "--to-uri", new.uri, "--apply", code=1)
        assert ADMIN_PASSWORD not in output
    require_same(old.database, old.artifacts, new.database, new.artifacts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WINE_QUALITY_MLFLOW_URI_3", new.uri)
        log_in(patch, "")
        assert "takes the place of version 1" in train(config, "3", "0.01")
        _read_a_model(new)
    with pytest.MonkeyPatch.context() as patch:
        log_in(patch, "WINE_QUALITY_FROM_")
        move("3", "3", "--from-uri", new.uri, "--apply")
        database = home / "mlflow-3" / "mlflow.db"
        counts = report("3-to-3")["counts"]
        assert counts["logged models"] == {"source": 1, "there": 0, "copied": 1}
        assert rows(database, CHAMPIONS) == rows(new.database, CHAMPIONS)
        for table in (
            "inputs",
            "datasets",
            "logged_model_metrics",
            "logged_model_params",
            "metrics",
        ):
            (wanted,), (found,) = (
                rows(path, f"SELECT count(*) FROM {table}") for path in (new.database, database)
            )
            assert wanted == found and found[0], table
        move("3", "3", "--from-uri", new.uri, "--apply")
        assert [one["copied"] for one in report("3-to-3")["counts"].values()] == [0] * 5


def log_in(patch: pytest.MonkeyPatch, side: str) -> None:
    patch.setenv(f"{side}MLFLOW_TRACKING_USERNAME", ADMIN)
    patch.setenv(f"{side}MLFLOW_TRACKING_PASSWORD", ADMIN_PASSWORD)


def _read_a_model(server: MlflowServer) -> None:
    """A run whose input is a logged model: the one that mlflow-export-import stumbles over."""
    from mlflow import MlflowClient
    from mlflow.entities import LoggedModelInput

    client = MlflowClient(server.uri)
    ids = [str(one) for (one,) in rows(server.database, "SELECT experiment_id FROM experiments")]
    (model,) = client.search_logged_models(experiment_ids=ids)
    experiment = client.get_experiment_by_name(EXPERIMENT).experiment_id
    reader = client.create_run(experiment).info.run_id
    client.log_inputs(reader, models=[LoggedModelInput(model_id=model.model_id)])
    client.set_terminated(reader)


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
