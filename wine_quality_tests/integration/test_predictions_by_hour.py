"""Predictions by the hour: the same numbers from plain SQL and from a continuous aggregate.

Each test computes what is right from the rows, in Python. The aggregate takes the real TimescaleDB,
which ``WINE_QUALITY_TIMESCALE_BIN=…/bin`` names; without it only plain SQL is tested.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from wine_quality.metrics_history import aggregates, migrate, timescale
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.metrics_history.policies import Policies, apply_policies
from wine_quality_tests.support.postgres import PostgresServer
from wine_quality_tests.support.prediction_history import PredictionHistory, Row, some_rows
from wine_quality_tests.support.timescale import REAL, start_timescale

pytestmark = pytest.mark.slow

KINDS = ["plain", *(["timescale", "apache"] if REAL else [])]
WIDER = """
from alembic import op
import sqlalchemy as sa

revision, down_revision = "0003", "0002"

def upgrade():
    op.alter_column("predictions", "model_version", type_=sa.BigInteger, schema="wine_quality")
"""


@pytest.fixture(scope="module")
def servers(postgres: PostgresServer) -> Iterator[Any]:
    """A server by kind, started when it is asked for."""
    started: dict[str, PostgresServer] = {"plain": postgres}

    def get(kind: str) -> PostgresServer:
        if kind not in started:
            edition = {"timescaledb.license": "apache"} if kind == "apache" else {}
            started[kind] = start_timescale(**edition)
        return started[kind]

    yield get
    for kind, server in started.items():
        if kind != "plain":
            server.remove()


@pytest.mark.parametrize("kind", KINDS)
def test_the_numbers_are_those_of_the_rows(servers, kind):
    history = PredictionHistory(kind, servers(kind))
    assert history.uses_the_aggregate() == (kind == "timescale")
    history.check()  # without a row
    history.add(some_rows(history.now))
    history.check()
    if kind != "timescale":
        return
    history.refresh()
    assert 0 < history.materialized() < len(history.rows)
    history.check()
    # New ones count at once, those that come late from the next refresh on.
    history.add([Row(history.now - timedelta(minutes=20), "wine", 7, "r7", 2.5, False)])
    history.check()
    history.add([Row(history.now - timedelta(days=9), "wine", 7, "r7", 3.5, True)])
    history.refresh()
    history.check()


@pytest.mark.parametrize("kind", KINDS)
def test_rows_that_are_too_old_count_no_longer(servers, kind):
    history = PredictionHistory(kind, servers(kind))
    history.add(some_rows(history.now))
    if kind == "timescale":
        history.refresh()
    reports: list[str] = []
    policies = Policies(keep_predictions=60, compress_after=5)
    apply_policies(history.database, policies, reports.append)
    for (job,) in jobs(history, "policy_retention", "policy_compression"):
        history.server.execute(f"CALL run_job({job})", history.name)
    history.rows = [row for row in history.rows if row.time > history.now - timedelta(days=60)]
    history.check()
    if kind == "timescale":
        history.refresh()
        assert history.materialized() < len(history.rows)
        history.check()
    else:
        of_apache = "a hypertable of the Apache edition, which has no policies"
        what = of_apache if kind == "apache" else "a plain table"
        deleted = "4 rows older than 60 days are deleted; nothing is compressed"
        assert reports[0] == f"predictions: {what}; {deleted}"


def jobs(history: PredictionHistory, *names: str) -> list[tuple[Any, ...]]:
    if history.kind != "timescale":
        return []
    listed = ", ".join(f"'{name}'" for name in names)
    sql = "SELECT job_id FROM timescaledb_information.jobs WHERE hypertable_name = 'predictions' "
    return history.server.execute(f"{sql} AND proc_name IN ({listed})", history.name)


@pytest.mark.parametrize("kind", KINDS)
def test_a_later_revision_may_change_the_table(servers, kind, tmp_path):
    """The aggregate is removed before and made again after; an old revision takes it along."""
    history = PredictionHistory(kind, servers(kind))
    history.add(some_rows(history.now))
    folder = tmp_path / "migrations"
    shutil.copytree(migrate.MIGRATIONS, folder)
    (folder / "versions" / "0003_wider.py").write_text(WIDER)
    migrate.upgrade(history.database, print, folder=folder)
    assert history.uses_the_aggregate() == (kind == "timescale")
    history.check()


def test_who_may_only_write_writes_and_who_may_not_read_the_aggregate_counts(servers):
    if not REAL:
        pytest.skip("WINE_QUALITY_TIMESCALE_BIN is not set")
    history = PredictionHistory("timescale", servers("timescale"))
    history.add(some_rows(history.now))
    history.refresh()
    suffix = uuid.uuid4().hex[:8]
    for role, right in ((f"w_{suffix}", "INSERT"), (f"r_{suffix}", "SELECT")):
        history.server.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'x'")
        for grant in ("USAGE ON SCHEMA wine_quality", f"{right} ON wine_quality.predictions"):
            history.server.execute(f"GRANT {grant} TO {role}", history.name)
    late = history.now - timedelta(days=8)
    writer = MetricsDatabase(parse_url(history.server.url(history.name, f"w_{suffix}", "x")))
    with writer.begin() as connection:
        connection.exec_driver_sql(
            f"INSERT INTO wine_quality.predictions VALUES ('{late.isoformat()}', 'wine', 9, 'r9', "
            "'h', 0.5, NULL, gen_random_uuid(), 0)"
        )
    history.rows.append(Row(late, "wine", 9, "r9", 0.5, False))
    owner = history.database
    reader = history.server.url(history.name, f"r_{suffix}", "x")
    history.database = MetricsDatabase(parse_url(reader))
    assert not history.uses_the_aggregate()
    history.check()
    history.database = owner
    history.refresh()
    history.check()


def test_the_report_names_the_edition(servers):
    if not REAL:
        pytest.skip("WINE_QUALITY_TIMESCALE_BIN is not set")
    community = PredictionHistory("timescale", servers("timescale"))
    assert community.reports[1:] == [
        f"The metrics in {community.database.name} are kept in hypertables.",
        f"In {community.database.name} predictions by the hour are kept in a continuous aggregate.",
    ]
    apache = PredictionHistory("apache", servers("apache"))
    assert apache.reports[2] == (
        f"The TimescaleDB of {apache.database.name} is of the Apache edition, which has neither "
        "continuous aggregates nor policies: predictions by the hour are counted by plain SQL."
    )
    again: list[str] = []
    for history in (community, apache):
        migrate.upgrade(history.database, again.append)
    assert again == []


def test_an_aggregate_that_is_not_there_yet_is_made_by_the_next_upgrade(servers):
    """As in a database of an earlier release, which has hypertables at the newest revision."""
    if not REAL:
        pytest.skip("WINE_QUALITY_TIMESCALE_BIN is not set")
    history = PredictionHistory("timescale", servers("timescale"))
    history.add(some_rows(history.now))
    with history.database.begin() as connection:
        aggregates.drop(connection)
    history.check()
    migrate.upgrade(history.database, print)
    assert history.uses_the_aggregate()
    history.check()
    with history.database.begin() as connection:
        assert timescale.is_community(connection)


@pytest.mark.parametrize("minutes", [0, 30])
def test_the_first_whole_hour(minutes):
    india = timezone(timedelta(hours=5, minutes=30))
    at = datetime(2026, 3, 1, 12, minutes, tzinfo=india)  # 06:30 or 07:00 of UTC
    whole = datetime(2026, 3, 1, 7, tzinfo=timezone.utc)
    assert aggregates.first_whole_hour(at) == whole
