"""Transactions on the metrics database that end in time, and errors that show no password."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from wine_quality.metrics_history.evaluation import MetricsHistoryError
from wine_quality.settings.runs import METRICS_URL as VARIABLE

if TYPE_CHECKING:
    from sqlalchemy.engine import URL, Connection, Engine

CONNECT_SECONDS = 5
STATEMENT_SECONDS = 10.0
_GRACE_SECONDS = 3.0
"""For the server to cancel a statement by itself, which says more than a closed connection."""
_PAUSES = (0.5, 2.0)
_LAST_TRY_SECONDS = 15.0
"""No further try begins later than this after the first one."""

_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
_T = TypeVar("_T")


def parse_url(text: str) -> URL:
    """The address of the metrics database.

    Raises:
        ValueError: it is not a PostgreSQL URL; the message does not repeat it, for the password.
    """
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    expected = (
        f"Set ${VARIABLE} (or resources.metrics_history.config.url) to "
        "postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters of the password as "
        "%XX; or leave it empty to keep no metrics history."
    )
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):  # ValueError: the port is not a number
        raise ValueError(f"the address of the metrics database is not a URL. {expected}") from None
    # The rest of a password with an @ that is not written as %40 would be taken for the host.
    if "@" in (url.host or ""):
        raise ValueError(f"the address of the metrics database has more than one @. {expected}")
    if url.drivername not in _SCHEMES:
        raise ValueError(
            f"the address of the metrics database begins with {url.drivername}://, but the metrics "
            f"history needs PostgreSQL. {expected}"
        )
    return url.set(drivername="postgresql+psycopg2")


def shown(url: URL) -> str:
    """The database as logs and metadata name it: no user, no password, no options."""
    host = url.host or str(url.query.get("host", "localhost"))
    return f"{host}{f':{url.port}' if url.port else ''}/{url.database or ''}"


class MetricsDatabase:
    """Short transactions on the database behind one URL."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self.name = shown(url)

    @contextmanager
    def begin(self, seconds: float = STATEMENT_SECONDS) -> Iterator[Connection]:
        """A new connection in a transaction; all that is done with it ends in about ``seconds``.

        Raises:
            MetricsHistoryError: an error of the database or the network.
        """
        with self.connect(seconds + _GRACE_SECONDS) as connection, connection.begin():
            # Not as options of the connection, which poolers such as PgBouncer refuse.
            milliseconds = int(seconds * 1000)
            connection.exec_driver_sql(f"SET LOCAL statement_timeout = {milliseconds}")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {milliseconds}")
            yield connection

    @contextmanager
    def connect(self, seconds: float) -> Iterator[Connection]:
        """A new connection that lives no longer than ``seconds``. Errors as those of ``begin``."""
        from sqlalchemy.exc import SQLAlchemyError

        with ExitStack() as deadline:
            try:
                with self._engine(seconds, deadline).connect() as connection:
                    yield connection
            except SQLAlchemyError as error:
                raise self._refusal(error) from None

    def _engine(self, seconds: float, deadline: ExitStack) -> Engine:
        from sqlalchemy import create_engine, event
        from sqlalchemy.pool import NullPool

        wanted = {"connect_timeout": CONNECT_SECONDS, "application_name": "wine_quality"}
        options = {key: value for key, value in wanted.items() if key not in self._url.query}
        engine = create_engine(self._url, poolclass=NullPool, connect_args=options, future=True)

        # Before SQLAlchemy asks its first question.
        @event.listens_for(engine, "do_connect")
        def dial(dialect: Any, _record: Any, cargs: Any, cparams: Any) -> Any:
            raw = dialect.connect(*cargs, **cparams)
            deadline.enter_context(_cut_off_after(seconds, raw))
            return raw

        return engine

    def _refusal(self, error: Exception) -> MetricsHistoryError:
        """An error with the driver's own message, without SQLAlchemy's lines around it."""
        from sqlalchemy.exc import OperationalError

        # Nothing is masked: the driver names no password, and a masked common word would reveal it.
        text = " ".join(str(getattr(error, "orig", None) or error).split())
        message = f"The metrics database {self.name} cannot be used: {text}"
        return MetricsHistoryError(message, text, isinstance(error, OperationalError))


def retry_briefly(work: Callable[[], _T]) -> _T:
    """Call ``work``, and again, at most twice, when the database was away for a moment."""
    started = time.monotonic()
    for pause in _PAUSES:
        try:
            return work()
        except MetricsHistoryError as error:
            if not error.may_pass or time.monotonic() + pause - started > _LAST_TRY_SECONDS:
                raise
        time.sleep(pause)
    return work()


@contextmanager
def _cut_off_after(seconds: float, raw: Any) -> Iterator[None]:
    """Shut the socket of a psycopg2 connection when the time is over.

    A server that hangs, or a network that swallows packets, heeds no statement_timeout: libpq would
    wait for the answer without end.
    """
    wire = socket.socket(fileno=os.dup(raw.fileno()))

    def shut() -> None:
        with suppress(OSError):  # closed meanwhile
            wire.shutdown(socket.SHUT_RDWR)

    timer = threading.Timer(seconds, shut)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        wire.close()
