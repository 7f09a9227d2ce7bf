"""The metrics history in a backup, between servers with TimescaleDB and without.

The extension is the stand-in of ``support/timescale_stand_in.py``, which makes no chunks. With
``WINE_QUALITY_TIMESCALE_BIN=…/bin`` of a PostgreSQL that has TimescaleDB the real one is tried too.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timezone
from pathlib import Path

import pytest

from wine_quality.metrics_history import aggregates, predictions
from wine_quality.stack.settings import StackError
from wine_quality.upkeep import history_tables, staged_databases
from wine_quality.upkeep.backup import back_up, sha256_of
from wine_quality.upkeep.restore import UNFINISHED, restore, verify
from wine_quality_tests.support import timescale_stand_in
from wine_quality_tests.support.history_platform import HistoryPlatform, platform_on
from wine_quality_tests.support.postgres import PostgresServer
from wine_quality_tests.support.timescale import REAL, start_timescale

pytestmark = pytest.mark.slow

KINDS = ["plain", "stand-in", *(["timescale"] if REAL else [])]
HYPERTABLES = {"evaluation_metrics", "predictions"}
ROWS = """SELECT time, model_name, model_version::text, metric, value::text FROM
    wine_quality.evaluation_metrics UNION ALL
    SELECT time, batch::text, batch_row::text, inputs::text, prediction::text
    FROM wine_quality.predictions ORDER BY 1, 2, 3, 4"""
DATABASES = "SELECT datname FROM pg_database ORDER BY 1"


@pytest.fixture(scope="session")
def timescale() -> Iterator[PostgresServer]:
    """A PostgreSQL with the real extension."""
    assert REAL
    server = start_timescale()
    yield server
    server.remove()


@pytest.fixture
def make(request, postgres, tmp_path):
    """Makes an empty platform of a kind."""

    def made(kind: str) -> HistoryPlatform:
        server = request.getfixturevalue("timescale") if kind == "timescale" else postgres
        number = len(list(tmp_path.iterdir()))
        platform = platform_on(server, tmp_path / f"platform{number}")
        if kind == "stand-in":
            timescale_stand_in.offer(server, platform.settings["METRICS_POSTGRES_DB"])
        return platform

    return made


def hypertables(platform: HistoryPlatform) -> set[str]:
    if platform.query("SELECT to_regclass('timescaledb_information.hypertables')") == [(None,)]:
        return set()
    sql = "SELECT hypertable_name FROM timescaledb_information.hypertables"
    return {name for (name,) in platform.query(sql)}


def names(server: PostgresServer) -> list[str]:
    return [name for (name,) in server.execute(DATABASES)]


def by_hour(platform: HistoryPlatform) -> list[predictions.ServedVersion]:
    return predictions.served(platform.metrics, "wine", datetime(2026, 1, 1, tzinfo=timezone.utc))


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("source", KINDS)
def test_the_history_goes_between_servers_with_the_extension_and_without(
    make, tmp_path, source, target
):
    old, new = make(source), make(target)
    old.fill(30)
    # What others have in the database comes along.
    old.query("CREATE VIEW public.seen AS SELECT model_name FROM wine_quality.evaluation_metrics")
    assert hypertables(old) == (HYPERTABLES if source != "plain" else set())
    messages: list[str] = []
    back_up(old, tmp_path / "backup", messages.append)
    assert not [line for line in messages if "NOT in the backup" in line]
    rename_databases(tmp_path / "backup", old, new)
    restore(new, tmp_path / "backup", verify(tmp_path / "backup"), False, print)
    assert new.query(ROWS) == old.query(ROWS)
    assert len(new.query(ROWS)) == 90
    assert new.query("SELECT count(*) FROM public.seen") == [(60,)]
    assert hypertables(new) == (HYPERTABLES if target != "plain" else set())
    with new.metrics.begin() as connection:
        assert aggregates.is_usable(connection) == (target == "timescale")
    assert by_hour(new) == by_hour(old)
    new.fill(31)  # as the owner: the tables are the role's
    with pytest.raises(StackError, match="the stack is not empty"):
        restore(new, tmp_path / "backup", verify(tmp_path / "backup"), False, print)
    restore(new, tmp_path / "backup", verify(tmp_path / "backup"), True, print)
    assert new.query(ROWS) == old.query(ROWS)
    assert not (new.folder / UNFINISHED).exists()


@pytest.mark.parametrize("kind", KINDS)
def test_a_restore_that_fails_changes_nothing(make, tmp_path, monkeypatch, kind):
    """While rows are loaded, and as the databases are about to take their names."""
    old, new = make(kind), make(kind)
    old.fill(3)
    new.fill(2)
    before = new.query(ROWS)
    back_up(old, tmp_path / "backup", print)
    rename_databases(tmp_path / "backup", old, new)
    manifest = verify(tmp_path / "backup")
    copied = tmp_path / "backup" / "history-tables" / "predictions.copy"
    whole = copied.read_text()
    copied.write_text(whole.replace("\t", "", 1))
    with pytest.raises(Exception, match="predictions"):
        restore(new, tmp_path / "backup", manifest, True, print)
    copied.write_text("".join(whole.splitlines(keepends=True)[1:]))
    with pytest.raises(StackError, match="has 2 rows after the load; the backup has 3"):
        restore(new, tmp_path / "backup", manifest, True, print)
    copied.write_text(whole)
    assert not (new.folder / UNFINISHED).exists()  # nothing stands in the way of `make stack`
    monkeypatch.setattr("wine_quality.upkeep.restore.swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(new, tmp_path / "backup", manifest, True, print)
    monkeypatch.undo()
    assert new.query(ROWS) == before
    leftovers = [name for (name,) in new.query(DATABASES) if "__" in name]
    assert not [name for name in leftovers if name.startswith(tuple(manifest["databases"]))]
    restore(new, tmp_path / "backup", manifest, True, print)
    assert new.query(ROWS) == old.query(ROWS)


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_what_a_killed_restore_left_is_no_hindrance(make, tmp_path, postgres):
    old, new = make("plain"), make("plain")
    old.fill(3)
    back_up(old, tmp_path / "backup", print)
    rename_databases(tmp_path / "backup", old, new)
    name = new.settings["METRICS_POSTGRES_DB"]
    for suffix in (staged_databases.STAGED, staged_databases.REPLACED):
        postgres.execute(f"CREATE DATABASE {name}{suffix}")
    (new.folder / UNFINISHED).write_text("of the one that was killed")
    restore(new, tmp_path / "backup", verify(tmp_path / "backup"), False, print)
    assert new.query(ROWS) == old.query(ROWS)
    assert [found for found in names(postgres) if found.startswith(name)] == [name]


def test_a_backup_of_something_newer_is_refused(make, tmp_path, postgres):
    old, new = make("plain"), make("plain")
    old.fill(1)
    folder = tmp_path / "backup"
    back_up(old, folder, print)
    rename_databases(folder, old, new)
    manifest = verify(folder)
    before = names(postgres)
    versions = manifest["versions"]
    for changed, expected in (
        ({"history": {**manifest["history"], "revision": "9999"}}, "revision '9999'"),
        ({"versions": {**versions, "dagster": "99.1"}}, "the backup is of Dagster 99.1; here is"),
        ({"versions": {**versions, "mlflow": {"3": "99.0.1"}}}, "is of MLflow 3 99.0.1; here is"),
        ({"versions": {**versions, "postgresql": "99.1"}}, "is of PostgreSQL 99; here is"),
        ({"databases": {**manifest["databases"], "mlflow_9": {}}}, "has the databases mlflow_9"),
    ):
        with pytest.raises(StackError, match=expected):
            restore(new, folder, {**manifest, **changed}, False, print)
    (folder / "manifest.json").write_text(json.dumps({**manifest, "format": 3}))
    with pytest.raises(StackError, match="format 3; up to 2 is known here: a newer"):
        verify(folder)
    assert names(postgres) == before


def test_a_backup_of_before_the_history_was_apart(make, tmp_path):
    """Format 1 has the tables in the dump: restored as they are, or refused when of hypertables."""
    old, new = make("plain"), make("stand-in")
    old.fill(3)
    former_format(old, new, tmp_path / "backup")
    restore(new, tmp_path / "backup", verify(tmp_path / "backup"), False, print)
    assert new.query(ROWS) == old.query(ROWS)
    assert hypertables(new) == HYPERTABLES

    of_chunks, empty = make("timescale" if REAL else "plain"), make("plain")
    of_chunks.fill(3)
    if not REAL:
        of_chunks.query("CREATE SCHEMA _timescaledb_internal")
        of_chunks.query("CREATE TABLE _timescaledb_internal._hyper_1_1_chunk ()")
    former_format(of_chunks, empty, tmp_path / "chunks")
    with pytest.raises(StackError, match="is of hypertables, made by an older wine_quality"):
        restore(empty, tmp_path / "chunks", verify(tmp_path / "chunks"), False, print)
    assert empty.query("SELECT to_regnamespace('wine_quality')") == [(None,)]
    assert not (empty.folder / UNFINISHED).exists()


def test_what_dagsters_daemon_notes_by_itself_is_no_ones_work(make, tmp_path, postgres):
    """Freshness that is unknown, as on a platform that was only started."""
    old, new = make("plain"), make("plain")
    back_up(old, tmp_path / "backup", print)
    rename_databases(tmp_path / "backup", old, new)
    dagster = new.settings["DAGSTER_POSTGRES_DB"]
    postgres.execute("CREATE TABLE event_logs (dagster_event_type text)", dagster)
    postgres.execute("INSERT INTO event_logs VALUES ('ASSET_MATERIALIZATION')", dagster)
    manifest = verify(tmp_path / "backup")
    with pytest.raises(StackError, match="has rows in event_logs"):
        restore(new, tmp_path / "backup", manifest, False, print)
    keys = "CREATE TABLE asset_keys (last_run_id text, last_materialization_timestamp timestamp)"
    postgres.execute(keys, dagster)
    postgres.execute("INSERT INTO asset_keys VALUES (NULL, NULL)", dagster)
    postgres.execute("UPDATE event_logs SET dagster_event_type = 'FRESHNESS_STATE_CHANGE'", dagster)
    restore(new, tmp_path / "backup", manifest, False, print)


def test_what_is_left_out_is_said(make, tmp_path):
    old = make("plain")
    old.fill(1)
    old.query("CREATE TABLE wine_quality.mine (number int)")
    messages: list[str] = []
    back_up(old, tmp_path / "backup", messages.append)
    assert any(line.startswith("NOT in the backup: wine_quality.mine in") for line in messages)


def test_a_history_of_a_newer_revision_is_not_backed_up(make, tmp_path):
    old = make("plain")
    old.fill(1)
    old.query(f"UPDATE wine_quality.{history_tables.table.VERSION_TABLE} SET version_num = '9999'")
    with pytest.raises(StackError, match="revision '9999' of the metrics history, which this"):
        back_up(old, tmp_path / "backup", print)


def rename_databases(folder: Path, old: HistoryPlatform, new: HistoryPlatform) -> None:
    """Both platforms may be on one server, where their databases cannot have the same names."""
    manifest = json.loads((folder / "manifest.json").read_text())
    for setting in ("DAGSTER_POSTGRES_DB", "METRICS_POSTGRES_DB"):
        before, after = old.settings[setting], new.settings[setting]
        manifest["databases"][after] = manifest["databases"].pop(before)
        (folder / "databases" / f"{before}.dump").rename(folder / "databases" / f"{after}.dump")
    (folder / "manifest.json").write_text(json.dumps(manifest))


def former_format(old: HistoryPlatform, new: HistoryPlatform, folder: Path) -> None:
    """A backup as it was made before: ``pg_dump`` of the whole database."""
    back_up(old, folder, print)
    name = old.settings["METRICS_POSTGRES_DB"]
    dump = folder / "databases" / f"{name}.dump"
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--dbname={name}"]
    with dump.open("wb") as file:
        old.write("pg_dump", file, "pg_dump", *options)
    manifest = json.loads((folder / "manifest.json").read_text())
    del manifest["history"]
    manifest["format"] = 1
    manifest["databases"][name]["sha256"] = sha256_of(dump)
    (folder / "manifest.json").write_text(json.dumps(manifest))
    rename_databases(folder, old, new)
