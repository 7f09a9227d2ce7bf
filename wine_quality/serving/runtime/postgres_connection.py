"""A connection to PostgreSQL on which nothing takes longer than it is given.

libpq's own connect and read calls can wait without end for a server that hangs or a network that
swallows packets. Here it is only called when there is something to read or room to write.
"""

from __future__ import annotations

import re
import select
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

CONNECT_SECONDS = 5.0
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg2")
# As SQLAlchemy reads it, which reads the same variable elsewhere.
_URL = re.compile(
    r"(?P<scheme>[\w+]+)://"
    r"(?:(?P<user>[^:/]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<ipv6>[^/?]+)\]|(?P<host>[^/:?]+))?(?::(?P<port>[^/?]*))?"
    r"(?:/(?P<database>[^?]*))?(?:\?(?P<query>.*))?"
)


class TooLateError(Exception):
    """The database did not answer in time."""


@dataclass(frozen=True)
class Address:
    """The address of a database.

    Attributes:
        name: As people may see it: no user, no password, no options.
        options: As psycopg2 takes them, the password among them.
    """

    name: str
    options: dict[str, str]

    def __repr__(self) -> str:
        return f"Address({self.name})"

    @classmethod
    def parse(cls, url: str, variable: str) -> Address:
        """Read the address from a URL.

        Args:
            variable: The variable that it came from, for the message.

        Raises:
            ValueError: it is not a PostgreSQL URL; the message does not repeat it.
        """
        found = _URL.fullmatch(url.strip())
        host = (found["ipv6"] or found["host"] or "") if found else ""
        port = (found["port"] or "") if found else ""
        if not found or found["scheme"] not in _SCHEMES or "@" in host or not _is_port(port):
            raise ValueError(
                f"${variable} is not an address of a PostgreSQL database. Set it to "
                "postgresql://USER:PASSWORD@HOST:5432/DATABASE, special characters of the "
                "password as %XX; or leave it empty to keep no predictions."
            )
        given = {
            "user": unquote(found["user"] or ""),
            "password": unquote(found["password"] or ""),
            "host": host,
            "port": port,
            "dbname": unquote(found["database"] or ""),
        }
        options = {key: value for key, value in given.items() if value}
        options |= dict(parse_qsl(found["query"] or ""))
        shown = host or options.get("host", "localhost")
        return cls(f"{shown}{f':{port}' if port else ''}/{options.get('dbname', '')}", options)


def _is_port(text: str) -> bool:
    return not text or (text.isdecimal() and int(text) < 65536)


class PostgresConnection:
    """One session."""

    def __init__(self, address: Address, until: float) -> None:
        """Connect.

        Args:
            until: ``time.monotonic()`` after which it is given up; ``CONNECT_SECONDS`` at most.

        Raises:
            psycopg2.Error: the server, or the network, has something against it.
            TooLateError: it was not done in time.
        """
        import psycopg2

        wanted = {"application_name": "wine_quality predictions", "client_encoding": "utf8"}
        self._raw = psycopg2.connect(**{**wanted, **address.options}, async_=True)
        try:
            self._wait(min(until, time.monotonic() + CONNECT_SECONDS))
        except BaseException:
            self._raw.close()
            raise

    def literal(self, text: str) -> str:
        """A text, quoted for SQL.

        Raises:
            ValueError: it holds a character that PostgreSQL cannot store.
        """
        from psycopg2.extensions import QuotedString

        quoted = QuotedString(text)
        quoted.prepare(self._raw)
        return quoted.getquoted().decode()

    def run(self, statements: str, until: float) -> None:
        """Run statements in one transaction.

        Raises:
            psycopg2.Error: what the server has against it; nothing was done, unless the
                connection broke.
            TooLateError: it is not known whether it was done.
        """
        seconds = max(until - time.monotonic(), 0.001)
        milliseconds = int(seconds * 1000) + 1
        cursor = self._raw.cursor()
        # Statements sent together are a transaction of their own. Not as options of the connection,
        # which poolers such as PgBouncer refuse.
        cursor.execute(
            f"SET LOCAL statement_timeout = {milliseconds}; "
            f"SET LOCAL lock_timeout = {milliseconds}; {statements}"
        )
        # Half a second longer: the server's own error is more useful than a time-out here.
        self._wait(until + 0.5)
        cursor.close()

    def close(self) -> None:
        self._raw.close()

    def _wait(self, until: float) -> None:
        from psycopg2 import extensions

        events = {extensions.POLL_READ: select.POLLIN, extensions.POLL_WRITE: select.POLLOUT}
        raw: Any = self._raw
        while (state := raw.poll()) != extensions.POLL_OK:
            left = until - time.monotonic()
            if left <= 0:
                raise TooLateError("it did not answer in time")
            # Not select(), which takes no descriptor above 1023; asked anew, for it may change.
            waiting = select.poll()
            waiting.register(raw.fileno(), events[state])
            waiting.poll(left * 1000)
