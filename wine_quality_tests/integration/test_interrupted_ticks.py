"""Ticks that are killed, refused or kept waiting, with a real daemon over a real bucket.

A proxy before the S3 server holds or refuses listings, so that "in mid-tick" is a place.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import boto3
import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.integration.test_arriving_data import HEADER, ROWS, SENSOR, Watched
from wine_quality_tests.support.servers import await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

PLACE = "s3://interrupted/wines/"
LISTING = r"list-type=2"
LISTING_SECONDS = 8
FORBIDDEN = (403, b"<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>")
BATCH = 6


@dataclass
class Bucket:
    """The watched bucket, behind a proxy for the daemon and at hand for the test."""

    watched: Watched
    proxy: FaultProxy

    def put(self, name: str, rows: list[str]) -> None:
        body = "\n".join([HEADER, *rows]).encode() + b"\n"
        boto3.client("s3").put_object(Bucket="interrupted", Key=f"wines/{name}", Body=body)

    def newest_tick(self) -> dict:
        ticks = self.watched.dagster.ticks(SENSOR)
        return ticks[0] if ticks else {"status": None, "skipReason": None, "id": None}

    def await_quiet(self, files: int) -> None:
        words = f"Nothing new among {files} file(s) in {PLACE}."
        await_condition(lambda: self.newest_tick()["skipReason"] == words, words)

    def await_failure(self, words: str) -> dict:
        """The newest tick, once it is one that failed for this reason."""

        def failed() -> bool:
            error = self.newest_tick().get("error")
            return bool(error) and any(words in cause["message"] for cause in error["causes"])

        await_condition(failed, f"a tick that fails with {words!r}")
        return self.newest_tick()


@pytest.fixture(scope="module")
def bucket(tmp_path_factory, mlflow_server, s3) -> Iterator[Bucket]:
    boto3.client("s3").create_bucket(Bucket="interrupted")
    proxy = FaultProxy(s3)
    watched = Watched(
        tmp_path_factory.mktemp("interrupted"),
        mlflow_server(MLFLOW_VERSIONS["3"]),
        place=PLACE,
        AWS_ENDPOINT_URL=proxy.uri,
        WINE_QUALITY_WATCH_LISTING_SECONDS=str(LISTING_SECONDS),
        WINE_QUALITY_WATCH_MAX_RUNS_PER_TICK="50",
        WINE_QUALITY_WATCH_MAX_UNFINISHED_RUNS="50",
    )
    yield Bucket(watched, proxy)
    watched.dagster.stop()
    proxy.stop()


def test_killed_while_it_lists(bucket):
    bucket.await_quiet(0)
    bucket.proxy.hold(LISTING)
    assert bucket.proxy.held.wait(60)
    bucket.put("listed.csv", ROWS[:300])
    bucket.watched.dagster.kill_daemon()
    bucket.proxy.release()
    assert bucket.watched.dagster.runs() == []
    bucket.watched.dagster.start_daemon()
    assert bucket.watched.statuses("listed.csv") == ["SUCCESS"]
    bucket.await_quiet(1)
    assert len(bucket.watched.dagster.runs()) == 1


def test_a_forbidden_bucket_is_named(bucket):
    bucket.proxy.refuse(LISTING, answer=FORBIDDEN)
    bucket.await_failure(f"{PLACE}: access denied")
    bucket.proxy.refuse(None)
    bucket.await_quiet(1)


def test_a_listing_that_hangs_fails_its_tick_and_keeps_no_other_sensor_waiting(bucket):
    dagster = bucket.watched.dagster

    def another_sensor_ticks_meanwhile() -> bool:
        hanging = bucket.newest_tick()
        closer = dagster.ticks("mlflow_run_closer")[0]
        return (
            hanging["status"] == "STARTED"
            and closer["status"] == "SKIPPED"
            and closer["timestamp"] > hanging["timestamp"]
            and bucket.newest_tick() == hanging
        )

    bucket.proxy.hold(LISTING)
    await_condition(another_sensor_ticks_meanwhile, "mlflow_run_closer to tick meanwhile")
    failed = bucket.await_failure(
        f"{PLACE} took longer than {LISTING_SECONDS} s in all (WINE_QUALITY_WATCH_LISTING_SECONDS)"
    )
    # Far from the limit: it only has to be sure that some bound held.
    assert failed["endTimestamp"] - failed["timestamp"] < LISTING_SECONDS + 20
    await_condition(
        lambda: bucket.newest_tick()["id"] != failed["id"], "further ticks while it hangs"
    )
    bucket.proxy.release()
    bucket.await_quiet(1)


@contextmanager
def hanging_run_storage(dagster_home: Path, before: int) -> Iterator[None]:
    """One more run is stored, and no other; nor does one leave the queue, whose worker would die
    with the daemon."""
    database = sqlite3.connect(dagster_home / "history" / "runs.db", timeout=30)
    with closing(database):
        database.executescript(
            f"""CREATE VIEW endless AS
                WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x FROM n;
            CREATE TRIGGER hold_insert BEFORE INSERT ON runs
                WHEN (SELECT COUNT(*) FROM runs) > {before}
                BEGIN SELECT COUNT(*) FROM endless; END;
            CREATE TRIGGER hold_start BEFORE UPDATE ON runs WHEN NEW.status = 'STARTING'
                BEGIN SELECT COUNT(*) FROM endless; END;"""
        )
        yield
        database.executescript(
            "DROP TRIGGER hold_insert; DROP TRIGGER hold_start; DROP VIEW endless;"
        )


def test_killed_between_the_first_run_and_the_cursor(bucket):
    dagster = bucket.watched.dagster
    names = [f"batch-{n}.csv" for n in range(BATCH)]
    # No tick is to see only some of them.
    bucket.proxy.refuse(LISTING, answer=FORBIDDEN)
    bucket.await_failure("access denied")
    for n, name in enumerate(names):
        # With fewer rows a model may be no better than the mean, and its run fails.
        bucket.put(name, ROWS[: 300 + 10 * n])
    before = len(dagster.runs())
    with hanging_run_storage(dagster.dagster_home, before):
        bucket.proxy.refuse(None)
        await_condition(lambda: len(dagster.runs()) > before, "the first run")
        await_condition(lambda: dagster.runs()[0]["status"] == "QUEUED", "its place in the queue")
        assert bucket.newest_tick()["status"] == "STARTED"
        dagster.kill_daemon()
    first, *_ = made = dagster.runs()
    assert (len(made), first["status"]) == (before + 1, "QUEUED")
    dagster.start_daemon()
    assert [bucket.watched.statuses(name) for name in names] == [["SUCCESS"]] * BATCH
    bucket.await_quiet(before + BATCH)
    assert len(dagster.runs()) == before + BATCH
