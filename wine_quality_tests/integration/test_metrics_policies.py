"""How long rows are kept: by a DELETE in plain tables, by TimescaleDB's jobs where it is.

The real extension takes ``WINE_QUALITY_TIMESCALE_BIN=…/bin``; its stand-in knows no policies.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wine_quality.metrics_history import migrate
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.metrics_history.policies import (
    Policies,
    PolicyError,
    apply_policies,
    read_policies,
)
from wine_quality_tests.support.postgres import PostgresServer
from wine_quality_tests.support.timescale import REAL, start_timescale

AGES = (1, 40, 400)
LEFT = "SELECT round(extract(epoch FROM now() - time) / 86400)::int FROM wine_quality.{} ORDER BY 1"
JOBS = (
    "SELECT proc_name, hypertable_name, job_id FROM timescaledb_information.jobs "
    "WHERE proc_name IN ('policy_retention', 'policy_compression')"
)


def fill(server: PostgresServer, name: str) -> None:
    for days in AGES:
        server.execute(
            "INSERT INTO wine_quality.evaluation_metrics VALUES "
            f"(now() - INTERVAL '{days} days', 'wine', 1, '3', 'r', 'rmse', 0.5, 'abc')",
            name,
        )
        server.execute(
            "INSERT INTO wine_quality.predictions VALUES "
            f"(now() - INTERVAL '{days} days', 'wine', 1, 'r', 'h', 5.5, NULL, "
            "gen_random_uuid(), 0)",
            name,
        )


def left(server: PostgresServer, name: str, table: str) -> list[int]:
    return [row[0] for row in server.execute(LEFT.format(table), name)]


@pytest.mark.slow
def test_old_rows_of_plain_tables_are_deleted(postgres):
    name = postgres.create_database()
    database = MetricsDatabase(parse_url(postgres.url(name)))
    migrate.upgrade(database, print)
    fill(postgres, name)
    messages: list[str] = []
    apply_policies(database, Policies(keep_predictions=30, compress_after=7), messages.append)
    assert left(postgres, name, "predictions") == [1]
    assert left(postgres, name, "evaluation_metrics") == list(AGES)
    assert messages == [
        "predictions: a plain table; 2 rows older than 30 days are deleted; nothing is compressed",
        "evaluation_metrics: a plain table; all is kept; nothing is compressed",
    ]


@pytest.fixture(scope="module")
def timescale() -> Iterator[PostgresServer]:
    if not REAL:
        pytest.skip("WINE_QUALITY_TIMESCALE_BIN is not set")
    server = start_timescale()
    yield server
    server.remove()


@pytest.mark.slow
def test_timescale_drops_and_compresses_by_its_own_jobs(timescale):
    timescale.execute("CREATE ROLE io LOGIN PASSWORD 'io'")
    name = timescale.create_database(owner="io")
    database = MetricsDatabase(parse_url(timescale.url(name, "io", "io")))
    migrate.upgrade(database, print)
    fill(timescale, name)
    policies = Policies(keep_predictions=100, keep_metrics=300, compress_after=20)
    for _ in range(2):  # again: the same
        apply_policies(database, policies, print)
    jobs = timescale.execute(JOBS, name)
    assert sorted(job[:2] for job in jobs) == [
        ("policy_compression", "evaluation_metrics"),
        ("policy_compression", "predictions"),
        ("policy_retention", "evaluation_metrics"),
        ("policy_retention", "predictions"),
    ]
    for (job,) in timescale.execute(f"SELECT job_id FROM ({JOBS}) jobs ORDER BY proc_name", name):
        timescale.execute(f"CALL run_job({job})", name)
    assert left(timescale, name, "predictions") == [1, 40]
    assert left(timescale, name, "evaluation_metrics") == [1, 40]
    packed = timescale.execute(
        "SELECT hypertable_name, is_compressed FROM timescaledb_information.chunks "
        "WHERE hypertable_schema = 'wine_quality' ORDER BY 1, range_start",
        name,
    )
    assert ("predictions", True) in packed and ("predictions", False) in packed
    apply_policies(database, Policies(), print)
    assert timescale.execute(JOBS, name) == []
    assert left(timescale, name, "predictions") == [1, 40]


@pytest.mark.parametrize("text", ["-1", "0", "7.5", "a week", "40000"])
def test_settings_that_are_no_days_are_named(text):
    with pytest.raises(PolicyError, match="WINE_QUALITY_KEEP_METRICS_DAYS is"):
        read_policies({"WINE_QUALITY_KEEP_METRICS_DAYS": text})


def test_rows_are_compressed_before_they_are_deleted():
    assert read_policies({}) == Policies()
    with pytest.raises(PolicyError, match="deleted after 30 days already"):
        read_policies(
            {"WINE_QUALITY_KEEP_PREDICTIONS_DAYS": "30", "WINE_QUALITY_COMPRESS_DAYS": "30"}
        )
