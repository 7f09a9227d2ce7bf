"""A metrics database with predictions, and what its rows come to, computed in Python."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta, timezone
from typing import NamedTuple

from wine_quality.metrics_history import aggregates, migrate, predictions
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.metrics_history.predictions import Period, ServedVersion
from wine_quality_tests.support.postgres import PostgresServer

HOUR = timedelta(hours=1)
REFRESH = """SELECT job_id FROM timescaledb_information.jobs
    WHERE proc_name = 'policy_refresh_continuous_aggregate' AND hypertable_name IS NOT NULL"""


class Row(NamedTuple):
    time: datetime
    model: str
    version: int
    run: str
    prediction: float
    has_inputs: bool


class PredictionHistory:
    """A metrics database of a kind, owned by a role without privileges, and the rows in it."""

    def __init__(self, kind: str, server: PostgresServer) -> None:
        self.kind, self.server = kind, server
        server.execute(
            "DO $$ BEGIN CREATE ROLE io LOGIN PASSWORD 'io'; "
            "EXCEPTION WHEN duplicate_object THEN NULL; END $$"
        )
        self.name = server.create_database(owner="io")
        # Its hours begin at half past those of UTC.
        server.execute(f"ALTER DATABASE {self.name} SET timezone = 'Asia/Kolkata'")
        self.database = MetricsDatabase(parse_url(server.url(self.name, "io", "io")))
        self.reports: list[str] = []
        migrate.upgrade(self.database, self.reports.append)
        self.now = datetime.now(timezone.utc)
        self.rows: list[Row] = []

    def add(self, rows: list[Row]) -> None:
        self.rows += rows
        for row in rows:
            inputs = "'{\"a\": 1}'" if row.has_inputs else "NULL"
            self.server.execute(
                f"INSERT INTO wine_quality.predictions VALUES ('{row.time.isoformat()}', "
                f"'{row.model}', {row.version}, '{row.run}', 'h', {row.prediction}, {inputs}, "
                f"'{uuid.uuid4()}', 0)",
                self.name,
            )

    def uses_the_aggregate(self) -> bool:
        with self.database.begin() as connection:
            return aggregates.is_usable(connection)

    def refresh(self) -> None:
        """Run the aggregate's policy now."""
        [(job,)] = self.server.execute(REFRESH, self.name)
        self.server.execute(f"CALL run_job({job})", self.name)

    def materialized(self) -> int:
        sql = "ALTER MATERIALIZED VIEW wine_quality.predictions_hourly SET "
        self.server.execute(sql + "(timescaledb.materialized_only = true)", self.name)
        count = "SELECT sum(rows)::int FROM wine_quality.predictions_hourly"
        [(rows,)] = self.server.execute(count, self.name)
        self.server.execute(sql + "(timescaledb.materialized_only = false)", self.name)
        return rows or 0

    def check(self) -> None:
        """Compare all that is read, from several beginnings, with the rows."""
        begins = [timedelta(minutes=30), HOUR, 5 * HOUR, 47 * HOUR, 20 * 24 * HOUR, 500 * 24 * HOUR]
        for span in begins:
            since = self.now - span
            served = predictions.served(self.database, "wine", since)
            assert served == expected_versions(self.rows, since)
            assert {type(version.rows) for version in served} <= {int}
            with self.database.begin() as connection:
                summary = aggregates.summary(aggregates.hours(connection, since))
                found = tuple(connection.execute(summary).one())
            recent = [row for row in self.rows if row.time >= since]
            assert found == (len(recent), len({row[1:4] for row in recent}))
            for version in served:
                # Those of this moment: of `over_time` the clock goes on.
                periods = predictions.over_time(self.database, "wine", version, span)
                assert periods == expected_periods(self.rows, version, since, span)


def expected_versions(rows: list[Row], since: datetime) -> list[ServedVersion]:
    groups: dict[tuple[int, str], list[Row]] = {}
    for row in rows:
        if row.model == "wine" and row.time >= since:
            groups.setdefault((row.version, row.run), []).append(row)
    found = [
        ServedVersion(
            *(str(version), run, len(group), sum(row.has_inputs for row in group)),
            max(row.time for row in group),
        )
        for (version, run), group in groups.items()
    ]
    return sorted(found, key=lambda version: version.newest, reverse=True)


def expected_periods(
    rows: list[Row], version: ServedVersion, since: datetime, span: timedelta
) -> list[Period]:
    groups: dict[datetime, list[float]] = {}
    for row in rows:
        if (row.model, str(row.version), row.run) == ("wine", version.version, version.run_id):
            begin = row.time.replace(minute=0, second=0, microsecond=0)
            begin = begin if span <= predictions.HOURLY_UP_TO else begin.replace(hour=0)
            if row.time >= since:
                groups.setdefault(begin, []).append(row.prediction)
    return [
        Period(begin, len(values), sum(values) / len(values), min(values), max(values))
        for begin, values in sorted(groups.items())
    ]


def some_rows(now: datetime) -> list[Row]:
    """Over 400 days and in the last minutes; eighths, whose sums are exact in any order."""
    hour = now.replace(minute=0, second=0, microsecond=0)
    ages = [timedelta(minutes=10), timedelta(minutes=45), 2 * HOUR, 4 * HOUR, 30 * HOUR]
    ages += [timedelta(days=days, minutes=7 * days) for days in (3, 8, 9, 40, 400)]
    times = [now - age for age in ages]
    times += [hour - 5 * HOUR, hour - 5 * HOUR - timedelta(microseconds=1)]
    rows = []
    for place, time in enumerate(times):
        for more in range(3):
            at = time - timedelta(seconds=more, microseconds=more)
            version, run = place % 2 + 1, ("r1", "", "r2")[more]
            rows.append(Row(at, "wine", version, run, place + more / 8, bool(more)))
        rows.append(Row(time, "other", 1, "r1", -1.5, True))
    return rows
