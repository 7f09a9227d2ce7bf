"""The prediction log without a database: addresses, the queue, what is hashed, what is told."""

from __future__ import annotations

import hashlib
import json
import socket
import struct
import threading
import time
import traceback
from datetime import datetime, timezone

import numpy as np
import pytest

from wine_quality.metrics_history.database import parse_url, shown
from wine_quality.serving.runtime import postgres_connection, prediction_log, prediction_rows
from wine_quality.serving.runtime.postgres_connection import Address
from wine_quality.serving.runtime.prediction_log import Counters, PredictionLog
from wine_quality_tests.support.servers import await_condition, free_port

SECRET = "s3cret%2Fword"
WORDS = "s3cret"
AT = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=timezone.utc)
COLUMNS = ["fixed acidity", "pH"]


def rows(count: int, start: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Inputs and predictions that tell each row."""
    numbers = np.arange(start, start + count, dtype=float)
    return np.column_stack([numbers, numbers / 7]), numbers / 3


@pytest.mark.parametrize(
    "text",
    [
        f"postgresql+psycopg2://io:{SECRET}@db:5433/metrics",
        f"postgresql://io:{SECRET}@db/metrics?sslmode=require",
        f"postgres://io:{SECRET}@[::1]:5432/metrics",
        f"postgresql:///metrics?host=/run/postgresql&password={SECRET}",
        "postgresql://io:12#s3cret@db/metrics",
        "postgresql://db",
    ],
)
def test_an_address_is_read_as_sqlalchemy_reads_it(text):
    from sqlalchemy.dialects.postgresql.psycopg2 import dialect

    address, url = Address.parse(text, "X"), parse_url(text)
    _, expected = dialect().create_connect_args(url)
    assert address.options == {key: str(value) for key, value in expected.items()}
    assert address.name == shown(url)
    assert WORDS not in repr(address)


@pytest.mark.parametrize(
    "text",
    [
        f"mysql://io:{SECRET}@db/metrics",
        f"io:{SECRET}@db/metrics",
        f"postgresql://io:{SECRET}@db:port/metrics",
        f"postgresql://io:p@{SECRET}@db/metrics",
    ],
)
def test_what_is_no_address_is_refused_and_not_repeated(text):
    with pytest.raises(ValueError, match="WINE_QUALITY_METRICS_URL is no address of a") as refused:
        PredictionLog(text)
    assert WORDS not in "".join(traceback.format_exception(refused.value))


def test_without_an_address_nothing_is_kept_and_nothing_started(monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_METRICS_URL", " ")
    monkeypatch.setenv("WINE_QUALITY_SERVE_LOG_INPUTS", "true")
    log, before = PredictionLog.from_environment(), set(threading.enumerate())
    log.record("M", "1", COLUMNS, *rows(3))
    log.close()
    assert not log.is_kept
    assert log.counters == Counters(0, 0, 0)
    assert set(threading.enumerate()) <= before
    monkeypatch.setenv("WINE_QUALITY_SERVE_LOG_INPUTS", "yes")
    with pytest.raises(ValueError, match="LOG_INPUTS is 'yes'; it must be true or false"):
        PredictionLog.from_environment()


@pytest.fixture
def warnings() -> list[str]:
    return []


@pytest.fixture
def nowhere(warnings):
    """A log whose database is not there, with little room and no patience."""
    url = f"postgresql://io:{SECRET}@127.0.0.1:{free_port()}/metrics"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(prediction_log, "_LINGER_SECONDS", 0.01)
        patch.setattr(prediction_log, "_FIRST_PAUSE", 0.01)
        patch.setattr(prediction_log, "_LONGEST_PAUSE", 0.01)
        log = PredictionLog(url, warn=warnings.append, most_rows=3_000)
        yield log
        log.close(0)


def test_when_the_queue_is_full_the_oldest_go_and_that_is_said_once(nowhere, warnings):
    log = nowhere
    for start in range(0, 3_000, 500):
        log.record("M", "1", COLUMNS, *rows(500, start), AT)
    await_condition(lambda: len(warnings) == 1, "the first failure")
    assert log.counters == Counters(written=0, waiting=3_000, dropped=0)
    assert "cannot be written to 127.0.0.1:" in warnings[0] and "Connection refused" in warnings[0]
    for start in range(3_000, 12_000, 500):
        log.record("M", "1", COLUMNS, *rows(500, start), AT)
    counted = log.counters
    assert counted.waiting + counted.dropped == 12_000
    assert counted.waiting <= 3_000
    kept = [np.frombuffer(piece.predictions, "<f8")[0] * 3 for piece in log._queue]
    assert kept == sorted(kept)
    assert not kept or kept[-1] == 11_500
    await_condition(lambda: len(warnings) == 2, "that some are dropped")
    assert "the oldest are dropped" in warnings[1]
    # Many more attempts, and no more words.
    log.close(0.3)
    assert len(warnings) == 3
    assert (
        "were not written to 127.0.0.1:" in warnings[2] and "before the server ended" in warnings[2]
    )
    assert log.counters == Counters(written=0, waiting=0, dropped=12_000)
    log.record("M", "1", COLUMNS, *rows(1), AT)
    assert log.counters.dropped == 12_001
    assert WORDS not in "".join(warnings)


def test_more_rows_than_there_is_room_for_are_kept_as_far_as_they_fit(nowhere):
    nowhere.record("M", "1", COLUMNS, *rows(10_000), AT)
    assert nowhere.counters == Counters(written=0, waiting=3_000, dropped=7_000)


def test_odd_numbers_never_raise_and_are_told_once(nowhere, warnings):
    inputs, predictions = rows(3)
    for odd in (
        ("M", "one", COLUMNS, inputs, predictions),
        ("M", "1", COLUMNS, inputs[:2], predictions),
        ("M", "1", COLUMNS[:1], inputs, predictions),
        ("M", "1", COLUMNS, inputs, None),
        ("M", "1", None, inputs, predictions),
    ):
        nowhere.record(*odd, AT)
    assert nowhere.counters.waiting == 0
    assert nowhere.counters.dropped == 13
    assert len(warnings) == 1 and "the first: ValueError" in warnings[0]


def test_a_row_is_hashed_as_its_float64_bytes_in_the_order_of_the_signature():
    inputs, predictions = rows(3, start=5)
    columns_first = np.asfortranarray(inputs)  # as tensors come, one for each column
    piece = prediction_rows.Piece(
        prediction_rows.ServedVersion("M", 1, "", tuple(COLUMNS)),
        AT,
        3,
        columns_first.tobytes(),
        predictions.tobytes(),
    )
    group = prediction_rows._Group(piece.model, [piece], with_inputs=True)
    expected = [hashlib.sha256(struct.pack("<2d", *row)).hexdigest() for row in inputs]
    assert group._hashes.split(",") == expected
    assert json.loads(group._inputs) == [dict(zip(COLUMNS, row, strict=True)) for row in inputs]


def test_what_json_cannot_say_is_null():
    inputs = np.array([[1.5, np.nan], [np.inf, 0.1]])
    piece = prediction_rows.Piece(
        prediction_rows.ServedVersion("M", 1, "", ("a", "b")),
        AT,
        2,
        inputs.tobytes(),
        np.zeros(2).tobytes(),
    )
    group = prediction_rows._Group(piece.model, [piece], with_inputs=True)
    assert json.loads(group._inputs) == [{"a": 1.5, "b": None}, {"a": None, "b": 0.1}]


def test_a_database_that_says_nothing_holds_neither_requests_nor_the_end_up(monkeypatch, warnings):
    monkeypatch.setattr(prediction_log, "_LINGER_SECONDS", 0.01)
    monkeypatch.setattr(postgres_connection, "CONNECT_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        log = PredictionLog(
            f"postgresql://io:{SECRET}@127.0.0.1:{port}/metrics", warn=warnings.append
        )
        log.record("M", "1", COLUMNS, *rows(1), AT)
        await_condition(lambda: bool(warnings), "the first failure", 10)
        assert "did not answer in time" in warnings[0]
        started = time.monotonic()
        log.record("M", "1", COLUMNS, *rows(1), AT)
        assert time.monotonic() - started < 1
        log.close(0.5)
        assert time.monotonic() - started < 3
    assert "2 prediction(s) were not written" in warnings[-1]
