"""The hypertable, against an extension that stands in for TimescaleDB on a real PostgreSQL."""

from __future__ import annotations

from datetime import timedelta

import pytest

from wine_quality.metrics_history import migrate, store, timescale
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality_tests.integration.test_metrics_database import ALL, evaluation
from wine_quality_tests.support import timescale_stand_in
from wine_quality_tests.support.postgres import PostgresServer

pytestmark = pytest.mark.slow

HYPERTABLES = [
    ("wine_quality", "evaluation_metrics", "time", timedelta(days=90), False),
    ("wine_quality", "predictions", "time", timedelta(days=7), False),
]


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    """A database that belongs to a role without privileges, as the platform's does."""
    postgres.execute(
        "DO $$ BEGIN CREATE ROLE io LOGIN PASSWORD 'io'; "
        "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
    )
    return postgres.create_database(owner="io")


@pytest.fixture
def database(postgres: PostgresServer, name: str) -> MetricsDatabase:
    return MetricsDatabase(parse_url(postgres.url(name, "io", "io")))


def test_the_first_to_write_makes_the_extension_and_the_hypertable(postgres, name, database):
    timescale_stand_in.offer(postgres, name)
    messages: list[str] = []
    for number in (1, 1, 2):
        store.write(database, [evaluation(number)], messages.append)
    assert postgres.execute(timescale_stand_in.RECORD, name) == HYPERTABLES
    assert len(postgres.execute(ALL, name)) == 4
    assert messages[1] == f"The metrics in {database.name} are kept in hypertables."
    assert "is of the Apache edition" in messages[2]  # as far as the stand-in goes


def test_an_extension_that_is_there_is_used_wherever_its_functions_are(postgres, name, database):
    """The platform's init script makes it; Timescale's image has it in every database."""
    timescale_stand_in.offer(postgres, name)
    postgres.execute('CREATE SCHEMA "my tools"', name)
    postgres.execute('GRANT USAGE ON SCHEMA "my tools" TO io', name)
    postgres.execute('CREATE EXTENSION timescaledb SCHEMA "my tools"', name)
    store.write(database, [evaluation(1)], print)
    assert postgres.execute(timescale_stand_in.RECORD, name) == HYPERTABLES


def test_an_extension_that_comes_later_takes_the_rows_over(postgres, name, database):
    store.write(database, [evaluation(1)], print)
    timescale_stand_in.offer(postgres, name)
    store.write(database, [evaluation(2)], print)
    with database.begin() as connection:
        assert not timescale.hypertables(connection)
    messages: list[str] = []
    for _ in range(2):
        migrate.upgrade(database, messages.append)
    assert messages[:1] == [f"The metrics in {database.name} are kept in hypertables."]
    assert len(messages) == 2
    assert postgres.execute(timescale_stand_in.RECORD, name) == HYPERTABLES
    assert len(postgres.execute(ALL, name)) == 4


def test_an_extension_that_cannot_be_made_leaves_a_plain_table(postgres, name, database):
    """The server ends the connection, as TimescaleDB does when it is not preloaded."""
    timescale_stand_in.offer(postgres, name, preloaded=False)
    messages: list[str] = []
    store.write(database, [evaluation(1)], messages.append)
    assert "are kept in plain tables: its server offers TimescaleDB, but it cannot" in messages[1]
    assert "closed the connection" in messages[1] or "terminating connection" in messages[1]
    assert len(postgres.execute(ALL, name)) == 2
    store.write(database, [evaluation(1)], messages.append)
    assert len(messages) == 2


def test_an_objection_to_the_hypertable_leaves_a_plain_table(postgres, name, database):
    timescale_stand_in.offer(postgres, name)
    postgres.execute("CREATE EXTENSION timescaledb", name)
    postgres.execute("REVOKE EXECUTE ON FUNCTION create_hypertable FROM PUBLIC", name)
    messages: list[str] = []
    store.write(database, [evaluation(1)], messages.append)
    assert "permission denied for function create_hypertable" in messages[1]
    assert len(postgres.execute(ALL, name)) == 2
