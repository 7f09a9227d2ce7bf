"""The prediction log in a real PostgreSQL: rows, faults, rights, forks, speed."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import numpy as np
import pytest

from wine_quality.metrics_history import migrate
from wine_quality.metrics_history.database import MetricsDatabase, parse_url
from wine_quality.paths import PROJECT_ROOT
from wine_quality.serving.runtime import prediction_log
from wine_quality.serving.runtime.prediction_log import Counters, PredictionLog
from wine_quality_tests.support.lost_answers import LostAnswers
from wine_quality_tests.support.postgres import PASSWORD, PostgresServer
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.unit.serving.test_prediction_log import AT, COLUMNS, rows

pytestmark = pytest.mark.slow

ALL = "SELECT * FROM wine_quality.predictions ORDER BY time, prediction"
NUMBERS = "SELECT prediction FROM wine_quality.predictions ORDER BY prediction"
BACKENDS = "SELECT pid FROM pg_stat_activity WHERE application_name = 'wine_quality predictions'"


@pytest.fixture
def name(postgres: PostgresServer) -> str:
    return postgres.create_database()


@pytest.fixture
def table(postgres: PostgresServer, name: str) -> None:
    migrate.upgrade(MetricsDatabase(parse_url(postgres.url(name))), print)


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def make(
    postgres: PostgresServer, name: str, warnings: list[str], monkeypatch
) -> Iterator[Callable[..., PredictionLog]]:
    """Logs in a hurry."""
    monkeypatch.setattr(prediction_log, "_LINGER_SECONDS", 0.02)
    monkeypatch.setattr(prediction_log, "_LONGEST_PAUSE", 0.5)
    made: list[PredictionLog] = []

    def log(url: str = "", **options) -> PredictionLog:
        made.append(PredictionLog(url or postgres.url(name), warn=warnings.append, **options))
        return made[-1]

    yield log
    for one in made:
        one.close(0)


def numbers(postgres: PostgresServer, name: str) -> list[int]:
    """The rows, by the number that ``rows`` gave them."""
    return [round(row[0] * 3) for row in postgres.execute(NUMBERS, name)]


def test_a_row_says_when_what_which_and_how(postgres, name, table, make, warnings):
    log = make()
    predictions = np.array([np.nan, 5.25])
    log.record('it\'s "M"', "12", COLUMNS, rows(2)[0], predictions, AT, "run-7")
    log.close(10)
    first, second = postgres.execute(ALL, name)[::-1]  # NaN is last
    digest = hashlib.sha256(np.zeros(2).tobytes()).hexdigest()
    assert first[:5] == (AT, 'it\'s "M"', 12, "run-7", digest)
    assert np.isnan(first[5])
    assert first[6] is None
    assert (second[5], second[8]) == (5.25, 1)
    assert first[7] == second[7]
    assert log.counters == Counters(written=2, waiting=0, dropped=0)
    assert warnings == []
    assert postgres.execute(BACKENDS) == []


def test_inputs_are_stored_by_column_when_that_is_wanted(postgres, name, table, make):
    log = make(log_inputs=True)
    log.record("M", "1", COLUMNS, *rows(3), AT)
    log.record("M", "2", [*COLUMNS, "a'\"{}%s"], np.array([[1.5, np.inf, -0.1]]), np.ones(1), AT)
    log.close(10)
    stored = [row[6] for row in postgres.execute(ALL, name)]
    assert stored[1:3] == [
        {"fixed acidity": 1.0, "pH": 1 / 7},
        {"fixed acidity": 2.0, "pH": 2 / 7},
    ]
    assert {"fixed acidity": 1.5, "pH": None, "a'\"{}%s": -0.1} in stored


def test_many_threads_and_large_requests_each_row_once(postgres, name, table, make, warnings):
    log = make()
    pieces = [
        (start, 12_000) if start == 0 else (start, 40) for start in [0, *range(12_000, 20_000, 40)]
    ]

    def send(mine: list[tuple[int, int]]) -> None:
        for start, count in mine:
            log.record("M", str(1 + start % 3), COLUMNS, *rows(count, start))

    threads = [threading.Thread(target=send, args=(pieces[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    await_condition(lambda: log.counters.written == 20_000, "all rows", 30)
    assert numbers(postgres, name) == list(range(20_000))
    assert warnings == []
    wrong = "SELECT count(*) FROM wine_quality.predictions WHERE model_version <> 1 + {} % 3"
    start = "(CASE WHEN round(prediction * 3) < 12000 THEN 0 ELSE"
    start += " 40 * floor(round(prediction * 3) / 40) END)::int"
    assert postgres.execute(wrong.format(start), name) == [(0,)]


def test_a_table_that_is_missing_is_told_and_waited_for(postgres, name, make, warnings):
    log = make()
    log.record("M", "1", COLUMNS, *rows(3), AT)
    await_condition(lambda: bool(warnings), "the first failure", 20)
    expected = '"wine_quality.predictions" does not exist. Make the table with: make metrics'
    assert expected in warnings[0]
    migrate.upgrade(MetricsDatabase(parse_url(postgres.url(name))), print)
    log.record("M", "1", COLUMNS, *rows(3, 3), AT)
    log.close(20)
    assert numbers(postgres, name) == list(range(6))
    assert len(warnings) == 2 and "are written to 127.0.0.1:" in warnings[1]


def test_a_server_that_is_killed_and_one_that_is_down_lose_nothing(
    postgres, name, table, make, warnings
):
    log, number, stop = make(), 0, threading.Event()
    log.record("M", "1", COLUMNS, *rows(1), AT)
    await_condition(lambda: log.counters.written == 1, "the first row", 20)

    def send() -> None:
        nonlocal number
        while not stop.is_set():
            number += 1
            log.record("M", "1", COLUMNS, *rows(1, number), AT)
            time.sleep(0.0005)  # the pace of a server, not a wait for something

    sending = threading.Thread(target=send)
    sending.start()
    try:
        # With a process of its own killed, PostgreSQL ends all sessions and recovers.
        await_condition(lambda: bool(postgres.execute(BACKENDS)), "a session", 20)
        [(pid,), *_] = postgres.execute(BACKENDS)
        os.kill(pid, signal.SIGKILL)
        written = log.counters.written
        await_condition(lambda: log.counters.written > written + 100, "rows after the crash", 30)
        outages = len(warnings)
        postgres.stop()
        try:
            await_condition(lambda: len(warnings) > outages, "the outage", 20)
            held = number
            await_condition(lambda: number > held + 200, "more requests")
        finally:
            postgres.start()
        written = log.counters.written
        await_condition(lambda: log.counters.written > written + 100, "rows after it", 30)
    finally:
        stop.set()
        sending.join()
    log.close(20)
    assert numbers(postgres, name) == list(range(number + 1))
    assert log.counters == Counters(written=number + 1, waiting=0, dropped=0)
    down = [text for text in warnings if "cannot be written" in text]
    assert len(down) <= 2, warnings
    assert PASSWORD not in "".join(warnings)


def test_a_batch_whose_answer_was_lost_is_not_doubled(postgres, name, table, make, warnings):
    proxy = LostAnswers(postgres.port, b"INSERT INTO wine_quality.predictions")
    try:
        log = make(postgres.url(name).replace(f":{postgres.port}/", f":{proxy.port}/"))
        log.record("M", "1", COLUMNS, *rows(2_500), AT)
        await_condition(lambda: log.counters.written == 2_500, "the batch", 30)
        assert proxy.lost == 1
        assert len(warnings) == 2, warnings  # that it could not be written, and that it was
    finally:
        proxy.close()
    assert numbers(postgres, name) == list(range(2_500))


def test_rows_that_can_never_be_written_do_not_block_others(postgres, name, table, make, warnings):
    log = make()
    log.record("M\0", "1", COLUMNS, *rows(2), AT)
    await_condition(lambda: log.counters.dropped == 2, "that it is given up", 20)
    log.record("M", "1", COLUMNS, *rows(2), AT)
    log.close(10)
    assert numbers(postgres, name) == [0, 1]
    assert len(warnings) == 1 and "2 prediction(s) cannot be written to 127.0.0.1" in warnings[0]


def test_a_lock_that_is_held_is_given_up_and_tried_again(
    postgres, name, table, make, warnings, monkeypatch
):
    import psycopg2

    monkeypatch.setattr(prediction_log, "_WRITE_SECONDS", 0.5)
    url = postgres.url(name).replace("+psycopg2", "")
    holder = psycopg2.connect(url)
    try:
        holder.cursor().execute("LOCK TABLE wine_quality.predictions")
        log = make()
        log.record("M", "1", COLUMNS, *rows(2), AT)
        await_condition(lambda: bool(warnings), "the first failure", 20)
        assert "timeout" in warnings[0]
    finally:
        holder.close()
    log.close(20)
    assert numbers(postgres, name) == [0, 1]


def test_a_role_that_may_only_insert_is_enough(postgres, name, table, make, warnings):
    role = f"server_{name}"
    postgres.execute(f"CREATE ROLE {role} LOGIN PASSWORD 's3cret'", name)
    log = make(postgres.url(name, role, "s3cret"))
    log.record("M", "1", COLUMNS, *rows(2), AT)
    await_condition(lambda: bool(warnings), "the refusal", 20)
    assert "permission denied" in warnings[0]
    postgres.execute(f"GRANT USAGE ON SCHEMA wine_quality TO {role}", name)
    postgres.execute(f"GRANT INSERT ON wine_quality.predictions TO {role}", name)
    log.close(20)
    assert numbers(postgres, name) == [0, 1]
    wrong = make(postgres.url(name, role, "wrong-s3cret"))
    wrong.record("M", "1", COLUMNS, *rows(2), AT)
    await_condition(lambda: len(warnings) == 3, "another refusal", 20)
    assert "password authentication failed" in warnings[2]
    assert "s3cret" not in "".join(warnings)


FORKS = """
import os, sys
from wine_quality.serving.runtime.prediction_log import PredictionLog
from wine_quality_tests.unit.serving.test_prediction_log import COLUMNS, rows

log = PredictionLog(sys.argv[1], warn=lambda warnings: sys.exit(warnings))
log.record("M", 1, COLUMNS, *rows(100))
for _ in range(10_000):
    if log.counters.written:
        break
    log._closing.wait(0.001)
log.record("M", 1, COLUMNS, *rows(100, 100))  # waiting in the parent when it forks
child = os.fork()
assert log.counters.waiting == (100 if child else 0)
log.record("M", 1, COLUMNS, *rows(100, 200 if child else 300))
log.close(20)
assert log.counters.dropped == 0 and log.counters.written == (300 if child else 100), log.counters
if child:
    assert os.waitpid(child, 0)[1] == 0
"""


def test_a_fork_writes_its_own_and_leaves_the_parents(postgres, name, table):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", FORKS, postgres.url(name)],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert numbers(postgres, name) == list(range(400))


def test_how_fast(postgres, name, table, make, capsys):
    """Figures for whoever reads them: they depend on the machine."""
    one, many = rows(1), rows(10_000)
    log = make(most_rows=10**6)
    started = time.perf_counter()
    for _ in range(10_000):
        log.record("M", "1", COLUMNS, *one, AT)
    each = (time.perf_counter() - started) / 10_000
    started = time.perf_counter()
    log.record("M", "1", COLUMNS, *many, AT)
    large = time.perf_counter() - started
    before, started = log.counters.written, time.perf_counter()
    for _ in range(10):
        log.record("M", "1", COLUMNS, *many, AT)
    await_condition(lambda: log.counters.waiting == 0, "all rows", 60)
    rate = (log.counters.written - before) / (time.perf_counter() - started)
    with capsys.disabled():
        print(
            f"\nprediction log: {each * 1e6:.1f} µs for a request of one row, "
            f"{large * 1e3:.2f} ms for one of 10,000; {rate:,.0f} rows/s are written"
        )
    assert len(postgres.execute(NUMBERS, name)) == 120_000
