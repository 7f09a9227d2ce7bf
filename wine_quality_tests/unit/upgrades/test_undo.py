"""An upgrade is undone: the new store is put aside, unless something is only there."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import embedded_store
from wine_quality.upgrades import undo
from wine_quality.upgrades.census import content_of
from wine_quality.upgrades.embedded import EmbeddedStores
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.progress import Progress, read_progress

OLD, NEW = MLFLOW_VERSIONS["1.26"], MLFLOW_VERSIONS["3"]
TABLES = """
CREATE TABLE experiments (experiment_id, lifecycle_stage);
CREATE TABLE runs (run_uuid, status, lifecycle_stage, experiment_id);
CREATE TABLE metrics (run_uuid, key, value);
CREATE TABLE registered_models (name);
CREATE TABLE model_versions (name, version, current_stage);
INSERT INTO runs VALUES ('one', 'FINISHED', 'active', '0');
"""


def change(database: Path, sql: str) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.executescript(sql)


@pytest.fixture
def stores(tmp_path, monkeypatch) -> EmbeddedStores:
    """As they are after an upgrade whose last note may be missing."""
    monkeypatch.setenv("WINE_QUALITY_HOME", str(tmp_path))
    for version in (OLD, NEW):
        embedded_store(version.key).mkdir(parents=True)
        change(embedded_store(version.key) / "mlflow.db", TABLES)
    return EmbeddedStores(OLD, NEW, tmp_path / "work")


def upgraded(stores: EmbeddedStores, folder: Path, *steps: str) -> None:
    progress = Progress(folder, stores.fingerprint())
    database = stores.target_database()
    assert database is not None
    with database as connection:
        progress.note("placing", placed_content=content_of(connection))
    for step in steps:
        progress.note(step)


@pytest.mark.parametrize("steps", [("placed",), ()], ids=["finished", "killed before its note"])
def test_the_new_store_is_put_aside_and_the_old_one_stays(stores, tmp_path, steps):
    messages: list[str] = []
    old = (embedded_store("1.26") / "mlflow.db").read_bytes()
    new = (embedded_store("3") / "mlflow.db").read_bytes()
    upgraded(stores, tmp_path / "work", *steps)
    undo.undo_upgrade(stores, tmp_path / "work", messages.append, with_new_runs=False)
    assert not embedded_store("3").exists()
    assert (embedded_store("1.26") / "mlflow.db").read_bytes() == old
    (aside,) = tmp_path.glob("mlflow-3.undone-*")
    assert (aside / "mlflow.db").read_bytes() == new and str(aside) in messages[0]
    assert read_progress(tmp_path / "work") == {}
    with pytest.raises(UpgradeError, match="there is nothing to undo"):
        undo.undo_upgrade(stores, tmp_path / "work", messages.append, with_new_runs=True)


@pytest.mark.parametrize(
    ("sql", "table"),
    [
        ("INSERT INTO runs VALUES ('two', 'FINISHED', 'active', '0')", "runs: 1 rows, now 2"),
        ("UPDATE runs SET lifecycle_stage = 'deleted'", "runs: 1 rows, now 1"),
        ("INSERT INTO model_versions VALUES ('m', 1, 'None')", "model_versions: 0 rows, now 1"),
    ],
)
def test_what_is_only_in_the_new_store_stops_it_unless_it_is_asked_for(
    stores, tmp_path, sql, table
):
    upgraded(stores, tmp_path / "work", "placed")
    database = embedded_store("3") / "mlflow.db"
    change(database, sql)
    changed = database.read_bytes()
    with pytest.raises(UpgradeError, match="has changed since the upgrade") as refused:
        undo.undo_upgrade(stores, tmp_path / "work", print, with_new_runs=False)
    assert table in str(refused.value) and "--undo --with-new-runs" in str(refused.value)
    assert ("1 run is only there: two" in str(refused.value)) == ("'two'" in sql)
    assert database.read_bytes() == changed
    undo.undo_upgrade(stores, tmp_path / "work", print, with_new_runs=True)
    (aside,) = tmp_path.glob("mlflow-3.undone-*")
    assert (aside / "mlflow.db").read_bytes() == changed


def test_an_upgrade_of_an_older_commit_is_undone_by_its_counts(stores, tmp_path):
    folder = tmp_path / "work"
    Progress(folder, stores.fingerprint()).note("staged", rows={"runs": 1, "experiments": 0})
    Progress(folder, stores.fingerprint()).note("placed")
    database = embedded_store("3") / "mlflow.db"
    change(database, "INSERT INTO runs VALUES ('two', 'FINISHED', 'active', '0')")
    with pytest.raises(UpgradeError, match="runs: 1 rows, now 2"):
        undo.undo_upgrade(stores, folder, print, with_new_runs=False)
    change(database, "DELETE FROM runs WHERE run_uuid = 'two'")
    undo.undo_upgrade(stores, folder, print, with_new_runs=False)
    assert not database.exists()


def test_an_interrupted_one_leaves_a_store_that_it_did_not_make(stores, tmp_path):
    folder = tmp_path / "work"
    progress = Progress(folder, stores.fingerprint())
    progress.note("backed up")
    staged = embedded_store("3") / "mlflow.upgrade"
    staged.write_bytes(b"half")
    undo.undo_upgrade(stores, folder, print, with_new_runs=False)
    assert not staged.exists() and (embedded_store("3") / "mlflow.db").exists()
    assert not list(tmp_path.glob("mlflow-3.undone-*"))


def test_a_table_that_is_gone_is_a_change(stores, tmp_path):
    upgraded(stores, tmp_path / "work", "placed")
    change(embedded_store("3") / "mlflow.db", "DROP TABLE metrics")
    with pytest.raises(UpgradeError, match="metrics: 0 rows, now no such table"):
        undo.undo_upgrade(stores, tmp_path / "work", print, with_new_runs=False)
