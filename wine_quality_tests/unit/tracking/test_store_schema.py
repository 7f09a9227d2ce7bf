"""When the schema of an embedded store is upgraded, and when it is not."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.tracking.servers import store_schema
from wine_quality.tracking.servers.migrations import Migrations, migrations_of, revision_in
from wine_quality.tracking.servers.store_schema import (
    StoreSchemaError,
    kept_copy,
    needs_upgrade,
    upgrade_store,
)
from wine_quality_tests.support.servers import dying_with_us

THREE = MLFLOW_VERSIONS["3"]
READER = """
import sys
with open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""
# Opens it again and again for a moment, as processes do that look whether it needs an upgrade.
LOOKING = """
import select, sys
while True:
    with open(sys.argv[1]):
        print("open", flush=True)
        select.select([], [], [], 0.02)
    if select.select([sys.stdin], [], [], 0.02)[0]:
        break
"""


def a_store(folder: Path, revision: str) -> Path:
    database = folder / "mlflow.db"
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", (revision,))
    return database


@contextmanager
def opening(database: Path, code: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that has opened the store, and ends when it is written to."""
    command = dying_with_us(sys.executable, "-c", code, str(database))
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == "open\n"
        yield process


@pytest.fixture
def migrations(tmp_path, monkeypatch) -> Migrations:
    found = Migrations(frozenset({"a1", "b2"}), "b2")
    monkeypatch.setattr(store_schema, "migrations_of", lambda version: found)
    return found


def set_revision(uri: str, revision: str = "b2") -> None:
    """In place of MLflow's migrations, which the integration test runs."""
    with closing(sqlite3.connect(uri.removeprefix("sqlite:///"))) as connection, connection:
        connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))


def no_environment() -> MlflowVersion:
    return replace(THREE, key="none-such")


@pytest.mark.parametrize(("revision", "expected"), [("a1", True), ("b2", False), ("c3", True)])
def test_another_schema_than_the_newest_needs_an_upgrade(tmp_path, migrations, revision, expected):
    assert needs_upgrade(a_store(tmp_path, revision), THREE) is expected


def test_without_an_environment_nothing_is_upgraded(tmp_path):
    assert migrations_of(no_environment()).known == frozenset()
    assert not needs_upgrade(a_store(tmp_path, "a1"), no_environment())


def test_the_store_stays_as_it_was_when_the_upgrade_fails(tmp_path, migrations, monkeypatch):
    def fail(uri: str) -> None:
        set_revision(uri, "half")
        raise OSError("No space left on device")

    database = a_store(tmp_path, "a1")
    monkeypatch.setattr(store_schema, "_upgrade_schema", fail)
    with pytest.raises(OSError, match="No space left"):
        upgrade_store(database, THREE, print)
    assert revision_in(database) == "a1" == revision_in(kept_copy(database, "a1"))
    monkeypatch.setattr(store_schema, "_upgrade_schema", set_revision)
    upgrade_store(database, THREE, print)
    assert revision_in(database) == "b2" and revision_in(kept_copy(database, "a1")) == "a1"


def test_not_while_another_process_has_it_open(tmp_path, migrations, monkeypatch):
    database = a_store(tmp_path, "a1")
    monkeypatch.setattr(store_schema, "_upgrade_schema", set_revision)
    monkeypatch.setattr(store_schema, "_READERS_SECONDS", 0)
    with opening(database, READER) as reader:
        with pytest.raises(StoreSchemaError, match="it is open in process"):
            upgrade_store(database, THREE, print)
        reader.communicate("")
    assert revision_in(database) == "a1"
    upgrade_store(database, THREE, print)
    assert revision_in(database) == "b2"


def test_whoever_looks_at_it_for_a_moment_is_awaited(tmp_path, migrations, monkeypatch):
    """One may come between any two looks at who has it open."""
    database = a_store(tmp_path, "a1")
    monkeypatch.setattr(store_schema, "_upgrade_schema", set_revision)
    monkeypatch.setattr(store_schema, "_POLL_SECONDS", 0.01)
    with opening(database, LOOKING) as looking:
        for _ in range(10):
            set_revision(f"sqlite:///{database}", "a1")
            upgrade_store(database, THREE, print)
            assert revision_in(database) == "b2"
        looking.communicate("end")


def test_what_is_written_during_an_upgrade_is_not_lost(tmp_path, migrations, monkeypatch):
    def written_meanwhile(uri: str) -> None:
        set_revision(uri)
        with closing(sqlite3.connect(database)) as connection, connection:
            connection.execute("CREATE TABLE written (row)")

    database = a_store(tmp_path, "a1")
    monkeypatch.setattr(store_schema, "_upgrade_schema", written_meanwhile)
    with pytest.raises(StoreSchemaError, match="another process wrote to it"):
        upgrade_store(database, THREE, print)
    monkeypatch.setattr(store_schema, "_upgrade_schema", set_revision)
    upgrade_store(database, THREE, print)
    with closing(sqlite3.connect(database)) as connection:
        assert connection.execute("SELECT * FROM written").fetchall() == []


def test_one_that_a_newer_release_has_upgraded_is_refused_with_the_way_back(tmp_path, migrations):
    database = a_store(tmp_path, "c3")
    kept = kept_copy(database, "b2")
    kept.write_bytes(database.read_bytes())
    with pytest.raises(StoreSchemaError, match="a newer release has upgraded it") as refused:
        upgrade_store(database, THREE, print)
    assert str(kept) in str(refused.value)
    assert revision_in(database) == "c3"
