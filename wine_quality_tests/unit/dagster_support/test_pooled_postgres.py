"""Connections to a real PostgreSQL that Dagster's stores use again."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from dagster import DagsterInstance, DagsterRunStatus, job

from wine_quality.dagster_support.pooled_postgres import pool_connections
from wine_quality.execution.kept_connections import keep_connections
from wine_quality_tests.support.postgres import PostgresServer
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_commands import run_python

pytestmark = pytest.mark.slow


@job
def empty() -> None:
    pass


class Database:
    """One for an instance of Dagster, and who is connected to it."""

    def __init__(self, server: PostgresServer, folder: Path) -> None:
        self.server, self.folder = server, folder
        self.name = server.create_database()
        storage = f"storage: {{postgres: {{postgres_url: '{server.url(self.name)}'}}}}\n"
        (folder / "dagster.yaml").write_text(storage)
        # The tables are made once, so that what is counted afterwards is of questions alone.
        with self.open():
            pass

    def open(self) -> DagsterInstance:
        return DagsterInstance.from_config(str(self.folder))

    def connected(self) -> int:
        sql = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.name}'"
        return self.server.execute(sql)[0][0]

    def cut_off(self) -> None:
        """As a restart does."""
        sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = "
        self.server.execute(f"{sql}'{self.name}'")
        await_condition(lambda: self.connected() == 0, "their end", 20)


@pytest.fixture
def database(postgres, tmp_path) -> Iterator[Database]:
    return Database(postgres, tmp_path)


def test_a_run_writes_by_two_connections(database):
    with database.open() as instance:
        assert database.connected() == 0
        keep_connections(instance)
        keep_connections(instance)
        run = instance.create_run_for_job(empty)
        for number in range(30):
            instance.report_engine_event(f"event {number}", run)
        instance.report_run_failed(run)
        # That of runs and that of events.
        assert database.connected() == 2
        with database.open() as other:
            assert len(other.all_logs(run.run_id)) == len(instance.all_logs(run.run_id)) > 30
            assert other.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
    await_condition(lambda: database.connected() == 0, "their end", 20)


def test_what_a_restart_closed_is_replaced(database):
    with database.open() as instance:
        pool_connections(instance)
        run = instance.create_run_for_job(empty)
        instance.report_engine_event("before it", run)
        assert instance.all_instigator_state() == []
        assert database.connected() == 3
        database.cut_off()
        instance.report_engine_event("after it", run)
        assert instance.get_run_by_id(run.run_id) is not None
        assert instance.all_instigator_state() == []
        assert instance.all_logs(run.run_id)[-1].message.startswith("after it")


def test_a_fork_has_connections_of_its_own(database):
    code = (
        "import os\n"
        "from dagster import DagsterInstance\n"
        "from wine_quality.dagster_support.pooled_postgres import pool_connections\n"
        f"with DagsterInstance.from_config({str(database.folder)!r}) as instance:\n"
        "    pool_connections(instance)\n"
        "    def backend():\n"
        "        with instance.run_storage.connect() as connection:\n"
        "            found = connection.exec_driver_sql('SELECT pg_backend_pid()').scalar()\n"
        "            return str(found).encode()\n"
        "    mine, (read, write) = backend(), os.pipe()\n"
        "    if (child := os.fork()) == 0:\n"
        "        os.write(write, backend())\n"
        "        instance.dispose()\n"
        "        os._exit(0)\n"
        "    os.waitpid(child, 0)\n"
        "    print(os.read(read, 100) != mine, backend() == mine)\n"
    )
    done = run_python(sys.executable, "-c", code)
    assert (done.returncode, done.stdout) == (0, "True True\n"), done.stderr


def test_stores_of_another_kind_stay_as_they_are(tmp_path):
    (tmp_path / "dagster.yaml").touch()
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        before = dict(vars(instance.event_log_storage)), type(instance.run_storage)
        pool_connections(instance)
        assert (dict(vars(instance.event_log_storage)), type(instance.run_storage)) == before
