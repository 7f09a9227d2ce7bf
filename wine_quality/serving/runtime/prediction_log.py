"""Every prediction as a row in PostgreSQL, at next to no cost for the request that asked for it.

A request leaves its numbers in a queue. One thread hashes and writes them in batches; while the
database is away the queue holds them, and when it is full the oldest are dropped.
"""

from __future__ import annotations

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime, timezone
from typing import NamedTuple

import numpy as np

from .postgres_connection import Address, PostgresConnection, TooLateError
from .prediction_rows import Batch, Piece, ServedVersion

URL_VARIABLE = "WINE_QUALITY_METRICS_URL"
INPUTS_VARIABLE = "WINE_QUALITY_SERVE_LOG_INPUTS"

MOST_ROWS = 200_000
"""Most rows in the queue: some 65 MB when each came with a request of its own."""
_BATCH_ROWS = 5_000
_PIECE_ROWS = 1_000
"""Rows of a piece of a large request; a piece is dropped or written as a whole."""
_LINGER_SECONDS = 1.0
"""Seconds for a batch to fill: the usual time from a request to its rows in the database."""
_WRITE_SECONDS = 10.0
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 30.0
_IDLE_SECONDS = 60.0
"""Seconds without a prediction until the connection is closed."""

_MAKE_TABLE = ("42P01", "42703", "3F000")  # no such table, column, schema


class Counters(NamedTuple):
    """Rows since the log was made."""

    written: int
    waiting: int
    dropped: int


class PredictionLog:
    """A bounded queue, and a thread that empties it into ``wine_quality.predictions``.

    Safe to use from any thread, and after a fork: the child begins with an empty queue and a
    connection of its own.
    """

    def __init__(
        self,
        url: str,
        log_inputs: bool = False,
        warn: Callable[[str], None] | None = None,
        most_rows: int = MOST_ROWS,
    ) -> None:
        """The log connects to the database and starts its thread at the first prediction.

        Args:
            url: ``postgresql://`` or ``postgresql+psycopg2://``; empty: nothing is kept.
            log_inputs: Store the inputs too, not only their hash.
            warn: Called with each problem, from any thread; default: a warning by ``logging``.
            most_rows: Rows that wait at most.

        Raises:
            ValueError: the address is not valid; the message does not repeat it, for the password.
            ImportError: there is an address, but no psycopg2.
        """
        self._address = Address.parse(url, URL_VARIABLE) if url.strip() else None
        if self._address is not None:
            import psycopg2  # noqa: F401
        self._log_inputs = log_inputs
        self._warn = warn or logging.getLogger(__name__).warning
        self._most_rows = most_rows
        self._begin_anew()
        ours = weakref.ref(self)

        def in_child() -> None:
            log = ours()
            if log is not None:
                log._begin_anew()

        os.register_at_fork(after_in_child=in_child)

    def _begin_anew(self) -> None:
        """The state of a process that has predicted nothing; a fork's parent keeps its own."""
        self._lock = threading.Lock()
        self._queue: deque[Piece] = deque()
        self._written = self._waiting = self._dropped = 0
        self._reported_dropped = 0
        self._odd = self._losing = False
        self._some, self._enough = threading.Event(), threading.Event()
        self._closing = threading.Event()
        self._ends: float | None = None
        self._thread: threading.Thread | None = None
        self._connection: PostgresConnection | None = None
        # One for all rows of it, which else would take half of the queue's memory.
        self._model = ServedVersion("", 0, "", ())

    @classmethod
    def from_environment(cls, warn: Callable[[str], None] | None = None) -> PredictionLog:
        """``$WINE_QUALITY_METRICS_URL`` (empty: no log) and ``$WINE_QUALITY_SERVE_LOG_INPUTS``.

        Raises:
            ValueError: either cannot be used; the message names the valid values.
        """
        wanted = os.environ.get(INPUTS_VARIABLE, "").strip().lower()
        if wanted not in ("", "true", "false"):
            raise ValueError(f"${INPUTS_VARIABLE} is {wanted!r}; it must be true or false")
        return cls(os.environ.get(URL_VARIABLE, ""), wanted == "true", warn)

    @property
    def is_kept(self) -> bool:
        """Whether predictions are logged: there is an address."""
        return self._address is not None

    @property
    def counters(self) -> Counters:
        """Counts of this process, for the server's metrics."""
        with self._lock:
            return Counters(self._written, self._waiting, self._dropped)

    def record(
        self,
        model: str,
        version: str | int,
        columns: Sequence[str],
        inputs: np.ndarray,
        predictions: np.ndarray,
        at: datetime | None = None,
        run_id: str = "",
    ) -> None:
        """Have a row for each prediction soon. Never raises, never waits for the database.

        The arrays are copied, so they may change afterwards.

        Args:
            version: The registry's number.
            columns: The k names of the signature, in its order.
            inputs: float64, (n, k), in that order.
            predictions: float64, (n,).
            at: When the request was answered; now, by default.
            run_id: The MLflow run that trained the model. Another MLflow server may have a
                version of the same number.
        """
        if self._address is None:
            return
        try:
            served = ServedVersion(model, int(version), run_id, tuple(columns))
            last = self._model  # once: another thread may change it between two looks
            if served == last:
                served = last
            else:
                self._model = served
            self._enqueue(
                served,
                np.asarray(inputs, dtype="<f8"),
                np.asarray(predictions, dtype="<f8"),
                at or datetime.now(timezone.utc),
            )
        # A prediction is worth more than its row in a table: no error of the log may end it.
        except Exception as error:
            self._count_odd(predictions, error)

    def close(self, seconds: float = 5.0) -> None:
        """Write what waits, for at most ``seconds``; what is left then is dropped, with a warning.

        Later predictions are only counted, as dropped.
        """
        with self._lock:
            self._ends = time.monotonic() + seconds
            thread = self._thread
        self._some.set()
        self._enough.set()
        self._closing.set()
        if thread is not None:
            thread.join(seconds + 1)
        with self._lock:
            left, self._waiting = self._waiting, 0
            self._dropped += left
            self._queue.clear()
        if left:
            self._warn(
                f"{left} prediction(s) were not written to {self._name} before the server ended."
            )

    @property
    def _name(self) -> str:
        return self._address.name if self._address else "no database"

    def _enqueue(
        self, model: ServedVersion, inputs: np.ndarray, predictions: np.ndarray, at: datetime
    ) -> None:
        rows = len(predictions)
        if inputs.shape != (rows, len(model.columns)) or predictions.shape != (rows,):
            raise ValueError(
                f"inputs {inputs.shape} and predictions {predictions.shape} do not fit "
                f"{len(model.columns)} columns"
            )
        pieces = [
            Piece(
                model,
                at,
                len(predictions[start : start + _PIECE_ROWS]),
                inputs[start : start + _PIECE_ROWS].tobytes(),
                predictions[start : start + _PIECE_ROWS].tobytes(),
            )
            for start in range(0, rows, _PIECE_ROWS)
        ]
        with self._lock:
            if self._ends is not None:
                self._dropped += rows
                return
            if self._thread is None:
                thread = threading.Thread(target=self._work, name="prediction-log", daemon=True)
                thread.start()
                self._thread = thread
            self._queue.extend(pieces)
            self._waiting += rows
            # A batch that is being written has left the queue, so it cannot be dropped here.
            while self._waiting > self._most_rows and self._queue:
                oldest = self._queue.popleft()
                self._waiting -= oldest.rows
                self._dropped += oldest.rows
            enough = self._waiting >= _BATCH_ROWS
        # Waking the thread costs a request more than all the rest, so it is done seldom.
        if not self._some.is_set():
            self._some.set()
        if enough and not self._enough.is_set():
            self._enough.set()

    def _count_odd(self, predictions: object, error: Exception) -> None:
        rows = np.size(predictions) if isinstance(predictions, np.ndarray) else 1
        with self._lock:
            self._dropped += rows
            self._reported_dropped += rows
            first, self._odd = not self._odd, True
        if first:
            self._warn(f"Prediction(s) that cannot be logged are dropped, the first: {error!r}")

    def _work(self) -> None:
        """The thread: a batch, written however long it takes, and the next."""
        while True:
            if not self._some.wait(_IDLE_SECONDS):
                self._disconnect()
                continue
            if self._ends is None:
                self._enough.wait(_LINGER_SECONDS)
            pieces = self._take()
            if not pieces:
                if self._ends is not None:
                    self._disconnect()
                    return
                continue
            try:
                batch = Batch(pieces, self._log_inputs)
            # Odd numbers must not end the thread.
            except Exception as error:
                self._give_up(sum(piece.rows for piece in pieces), error)
                continue
            if not self._write(batch):
                return
            self._report_dropped()

    def _take(self) -> list[Piece]:
        """The next batch, the oldest rows first; they are still waiting."""
        pieces: list[Piece] = []
        rows = 0
        with self._lock:
            while self._queue and rows < _BATCH_ROWS:
                piece = self._queue.popleft()
                pieces.append(piece)
                rows += piece.rows
            if not self._queue:
                self._some.clear()
            if self._waiting - rows < _BATCH_ROWS:
                self._enough.clear()
            if self._ends is not None:
                self._some.set()  # nobody else wakes it to see that all is done
        return pieces

    def _write(self, batch: Batch) -> bool:
        """Retry until it is written or refused; False when the time to close the log is over."""
        pause, warned = _FIRST_PAUSE, False
        while True:
            reused = self._connection is not None
            try:
                self._send(batch)
            except Exception as error:  # none may end the thread
                self._disconnect()
                if not _may_pass(error):
                    self._give_up(batch.rows, error)
                    return True
                if self._is_over():
                    return False
                if reused:
                    continue  # the connection may have died long ago, with nobody looking
                if not warned:
                    self._warn(self._complaint(error))
                    warned = True
                self._report_dropped()
                if self._closing.wait(pause):
                    time.sleep(_FIRST_PAUSE)  # little time is left: no long pauses any more
                pause = min(2 * pause, _LONGEST_PAUSE)
            else:
                with self._lock:
                    self._written += batch.rows
                    self._waiting -= batch.rows
                if warned:
                    self._warn(f"Predictions are written to {self._name} again.")
                return True

    def _send(self, batch: Batch) -> None:
        """Write it in one transaction; a batch already there, its answer lost, is not doubled."""
        assert self._address is not None
        if self._connection is None:
            self._connection = PostgresConnection(self._address, self._until())
        self._connection.run(batch.statements(self._connection.literal), self._until())

    def _until(self) -> float:
        """Deadline of a write that begins now, on the monotonic clock."""
        latest = time.monotonic() + _WRITE_SECONDS
        return latest if self._ends is None else min(latest, self._ends)

    def _is_over(self) -> bool:
        return self._ends is not None and time.monotonic() >= self._ends

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _give_up(self, rows: int, error: Exception) -> None:
        """Count rows that can never be written as dropped, with a warning."""
        with self._lock:
            self._waiting -= rows
            self._dropped += rows
            self._reported_dropped += rows
        self._warn(f"{rows} prediction(s) cannot be written to {self._name}: {_reason(error)}")

    def _complaint(self, error: Exception) -> str:
        advice = ""
        if getattr(error, "pgcode", None) in _MAKE_TABLE:
            advice = " Make the table with: make metrics DO=upgrade."
        return (
            f"Predictions cannot be written to {self._name}: {_reason(error)}.{advice} Up to "
            f"{self._most_rows} rows wait in memory, and it is tried again."
        )

    def _report_dropped(self) -> None:
        """Warn once when rows begin to be dropped, and once when that has ended."""
        with self._lock:
            lost = self._dropped - self._reported_dropped
            relaxed = self._waiting <= self._most_rows / 2
            begun, ended = bool(lost) and not self._losing, self._losing and relaxed
            self._losing = (self._losing or begun) and not ended
            if ended:
                self._reported_dropped = self._dropped
        if ended:
            self._warn(f"{lost} prediction(s) were dropped; now all are written again.")
        elif begun:
            self._warn(
                f"{self._most_rows} predictions wait to be written to {self._name}: the oldest "
                "are dropped."
            )


def _may_pass(error: Exception) -> bool:
    """Whether a retry may write the same rows; if not, they would block all others."""
    import psycopg2

    if isinstance(error, (psycopg2.DataError, psycopg2.IntegrityError)):
        return False
    return isinstance(error, (psycopg2.Error, TooLateError, OSError))


def _reason(error: Exception) -> str:
    """The error in one line, without the SQL statement or a password."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return " ".join((primary or str(error) or repr(error)).split()).rstrip(".")
