"""Stores of forks, copies of ones made once, are those that Dagster and MLflow make themselves."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality_tests.support.warm_commands import run_python

MAKE = {
    "dagster": (
        "from dagster import DagsterInstance\n"
        "from pathlib import Path\n"
        "Path(folder).mkdir()\n"
        "Path(folder, 'dagster.yaml').touch()\n"
        "with DagsterInstance.from_config(folder) as made:\n"
        "    with made.event_log_storage.run_connection('a_run'):\n"
        "        pass\n"
    ),
    "mlflow": (
        "from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore\n"
        "from pathlib import Path\n"
        "Path(folder).mkdir()\n"
        "SqlAlchemyStore(f'sqlite:///{folder}/mlflow.db', folder).engine.dispose()\n"
    ),
}


def stores(folder: Path) -> dict[str, list[tuple]]:
    """Of each database, its tables and indexes, its revision, how it writes, its other rows."""
    found = {}
    for file in sorted(folder.rglob("*.db")):
        with closing(sqlite3.connect(file)) as database:
            made = database.execute("SELECT name, sql FROM sqlite_master ORDER BY name").fetchall()
            # The order of a table's constraints is that of a set.
            tables = [
                (name, sorted((sql or "").replace(",", "").split("\n"))) for name, sql in made
            ]
            rows = [
                (name, database.execute(f'SELECT count(*) FROM "{name}"').fetchone())
                for name, sql in made
                if (sql or "").startswith("CREATE TABLE")
            ]
            revision = database.execute("SELECT version_num FROM alembic_version").fetchall()
            mode = database.execute("PRAGMA journal_mode").fetchall()
        found[str(file.relative_to(folder))] = [*tables, *rows, *revision, *mode]
    return found


@pytest.mark.parametrize("kind", MAKE)
def test_a_fork_has_the_tables_that_are_made_without_it(kind, tmp_path):
    alone, forked = tmp_path / "alone", tmp_path / "forked"
    exec(MAKE[kind], {"folder": str(alone)})
    done = run_python(sys.executable, "-c", f"folder = {str(forked)!r}\n{MAKE[kind]}")
    assert done.returncode == 0, done.stderr
    assert len(stores(alone)) == {"dagster": 4, "mlflow": 1}[kind]
    assert stores(forked) == stores(alone)


def test_a_fork_opens_what_is_there(tmp_path):
    """And makes none anew."""
    folder = tmp_path / "here"
    code = f"folder = {str(folder)!r}\n{MAKE['dagster']}".replace("mkdir()", "mkdir(exist_ok=True)")
    note = "made.run_storage.set_cursor_values({'key': 'kept'})"
    look = "print(made.run_storage.get_cursor_values({'key'}))"
    for last in (note, look):
        done = run_python(sys.executable, "-c", f"{code}    {last}\n")
        assert done.returncode == 0, done.stderr
    assert done.stdout == "{'key': 'kept'}\n"
