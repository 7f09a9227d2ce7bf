"""The metrics history in a real PostgreSQL: migration, rows, faults, roles."""

from __future__ import annotations

import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from wine_quality.metrics_history import database as connections
from wine_quality.metrics_history import migrate, predictions, store, table
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.metrics_history.evaluation import Evaluation, MetricsHistoryError
from wine_quality_tests.support.postgres import PASSWORD, PostgresServer

pytestmark = pytest.mark.slow

START = datetime(2026, 3, 1, 12, 0, 0, 123000, tzinfo=timezone.utc)
ALL = "SELECT * FROM wine_quality.evaluation_metrics ORDER BY time, metric"


def evaluation(number: int, model: str = "M", **metrics: float) -> Evaluation:
    return Evaluation(
        time=START + timedelta(hours=number),
        model_name=model,
        model_version=str(number),
        mlflow_version="3.17.2",
        run_id=f"run-{number}",
        data_sha256="abc",
        metrics=metrics or {"rmse": 0.7 + number, "mae": 0.6},
    )


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture
def database(postgres: PostgresServer, name: str) -> MetricsDatabase:
    return MetricsDatabase(parse_url(postgres.url(name)))


@pytest.fixture
def warnings() -> list[str]:
    return []


def test_a_retry_writes_no_second_row(postgres, name, database, warnings):
    assert store.newest(database, "M", "rmse", 50) == []
    store.write(database, [evaluation(1)], warnings.append)
    assert warnings == [f"The metrics database {database.name} is at revision 0002 (was: None)."]
    store.write(database, [evaluation(1)], warnings.append)
    mine = (START + timedelta(hours=1), "M", 1, "3.17.2", "run-1")
    assert postgres.execute(ALL, name) == [(*mine, "mae", 0.6, "abc"), (*mine, "rmse", 1.7, "abc")]
    # Evaluated anew, MLflow's run has the new value; so has the history.
    store.write(database, [evaluation(1, rmse=0.5)], warnings.append)
    assert [row[6] for row in postgres.execute(ALL, name)] == [0.6, 0.5]
    assert len(warnings) == 1


def test_the_newest_values_of_one_model_in_order(database):
    other = evaluation(9, model="N")
    store.write(database, [*map(evaluation, (3, 1, 2, 4)), other], print)
    found = store.newest(database, "M", "rmse", 3)
    assert [value.model_version for value in found] == [2, 3, 4]
    assert found[0].time == START + timedelta(hours=2)
    assert found[0].value == 2.7


def test_many_that_write_at_once_migrate_once(postgres, name, database, warnings):
    with ThreadPoolExecutor(8) as pool:
        writing = [
            pool.submit(store.write, database, [evaluation(n)], warnings.append) for n in range(8)
        ]
        for one in writing:
            one.result()
    assert len(postgres.execute(ALL, name)) == 16
    assert len(warnings) == 1
    versions = postgres.execute(f"SELECT * FROM wine_quality.{table.VERSION_TABLE}", name)
    assert versions == [(table.HEAD,)]


def test_the_table_is_the_one_that_the_code_knows(database):
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    migrate.upgrade(database, print)
    with database.begin() as connection:
        options = {"include_schemas": True, "version_table_schema": table.SCHEMA}
        options["version_table"] = table.VERSION_TABLE
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, table.metrics.metadata) == []


def test_a_database_from_before_the_predictions_gets_their_table(
    postgres, name, database, warnings, tmp_path: Path
):
    before = tmp_path / "before"
    shutil.copytree(migrate.MIGRATIONS, before)
    (before / "versions" / "0002_predictions.py").unlink()
    migrate.upgrade(database, print, folder=before)
    with database.begin() as connection:
        connection.execute(table.upsert(), evaluation(1).rows())
    with pytest.raises(MetricsHistoryError, match="no table of predictions yet. Make it with"):
        predictions.served(database, "M", START)
    store.write(database, [evaluation(2)], warnings.append)
    assert warnings == [f"The metrics database {database.name} is at revision 0002 (was: 0001)."]
    assert len(postgres.execute(ALL, name)) == 4
    assert predictions.served(database, "M", START) == []


LATER = """
import sqlalchemy as sa
from alembic import op

revision, down_revision = "0003", "0002"


def upgrade() -> None:
    column = sa.Column("note", sa.Text, server_default="none", nullable=False)
    op.add_column("evaluation_metrics", column, schema="wine_quality")
"""


def test_an_older_revision_is_upgraded_and_a_newer_one_refused(
    postgres, name, database, warnings, tmp_path: Path
):
    """A wine_quality of tomorrow has one revision more."""
    store.write(database, [evaluation(1)], print)
    tomorrow = tmp_path / "100%tomorrow"
    shutil.copytree(migrate.MIGRATIONS, tomorrow)
    (tomorrow / "versions" / "0003_note.py").write_text(LATER)
    for _ in range(2):
        migrate.upgrade(database, warnings.append, folder=tomorrow)
    assert warnings == [f"The metrics database {database.name} is at revision 0003 (was: 0002)."]
    assert [row[-1] for row in postgres.execute(ALL, name)] == ["none", "none"]
    with pytest.raises(MetricsHistoryError, match="a newer one has migrated it. Update this one"):
        store.write(database, [evaluation(2)], print)
    assert len(store.newest(database, "M", "rmse", 50)) == 1


def test_a_migration_that_dies_half_way_leaves_nothing(postgres, name, database, tmp_path: Path):
    broken = tmp_path / "broken"
    shutil.copytree(migrate.MIGRATIONS, broken)
    (broken / "versions" / "0003_note.py").write_text(LATER.replace("evaluation_metrics", "gone"))
    with pytest.raises(MetricsHistoryError, match='"wine_quality.gone" does not exist'):
        migrate.upgrade(database, print, folder=broken)
    assert postgres.execute("SELECT to_regnamespace('wine_quality')", name) == [(None,)]
    store.write(database, [evaluation(1)], print)


def test_a_role_that_may_only_write_needs_a_table(postgres, name, database):
    role = f"writer_{name}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'w'", name)
    writer = MetricsDatabase(parse_url(postgres.url(name, role, "w")))
    with pytest.raises(MetricsHistoryError, match="permission denied for database"):
        store.write(writer, [evaluation(1)], print)
    migrate.upgrade(database, print)
    postgres.execute(f"GRANT USAGE ON SCHEMA wine_quality TO {role}", name)
    rights = "SELECT, INSERT, UPDATE ON ALL TABLES IN SCHEMA wine_quality"
    postgres.execute(f"GRANT {rights} TO {role}", name)
    store.write(writer, [evaluation(1)], print)
    assert len(store.newest(writer, "M", "rmse", 50)) == 1


def test_a_wrong_password_is_said_and_not_shown(postgres, name, monkeypatch):
    monkeypatch.setattr(connections, "_PAUSES", ())
    wrong = MetricsDatabase(parse_url(postgres.url(name, password=PASSWORD[::-1])))
    with pytest.raises(MetricsHistoryError, match="password authentication failed") as refused:
        store.write(wrong, [evaluation(1)], print)
    assert PASSWORD[::-1] not in str(refused.value)


def test_a_slow_statement_is_cancelled_by_the_server(database):
    started = time.monotonic()
    with (
        pytest.raises(MetricsHistoryError, match="statement timeout"),
        database.begin(0.5) as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert time.monotonic() - started < 30


def test_a_server_that_hangs_is_cut_off(database):
    """It heeds no time-out of its own."""
    started = time.monotonic()
    with (
        pytest.raises(MetricsHistoryError, match="SSL SYSCALL|closed the connection") as given_up,
        database.connect(0.5) as connection,
    ):
        connection.exec_driver_sql("SELECT pg_sleep(60)")
    assert time.monotonic() - started < 30
    assert given_up.value.may_pass


def test_a_restart_of_the_server_is_waited_for(postgres, name, database, monkeypatch):
    monkeypatch.setattr(connections, "_PAUSES", (0.1,) * 200)
    monkeypatch.setattr(connections, "_LAST_TRY_SECONDS", 60.0)
    store.write(database, [evaluation(1)], print)
    postgres.stop()
    tried = threading.Event()
    real = connections.MetricsDatabase._refusal
    monkeypatch.setattr(
        connections.MetricsDatabase, "_refusal", lambda *given: (tried.set(), real(*given))[1]
    )
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(store.write, database, [evaluation(2)], print)
        try:
            assert tried.wait(30)
        finally:
            postgres.start()
        writing.result()
    assert len(postgres.execute(ALL, name)) == 4
