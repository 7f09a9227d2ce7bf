"""uvicorn's HTTP protocol with limits for what comes before an application sees a request."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .limits import most_seconds

MOST_HEAD_BYTES = 64 * 1024
"""Of a request's first line and headers."""
_MOST_SAID = 1000
_LINGER_SECONDS = 1.0
# Starlette takes the request's address apart by it, whatever it holds.
_HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)


def error_body(message: str) -> bytes:
    """``{"error": message}``, cut when it is long, whatever characters it holds."""
    text = message if len(message) <= _MOST_SAID else f"{message[:_MOST_SAID]}…"
    return orjson.dumps({"error": text.encode("utf-8", "replace").decode()})


class _Unreadable(Exception):
    """Ends the parser; what to answer stands in ``RequestProtocol._refusal``."""


class RequestProtocol(HttpToolsProtocol):
    """Refuses endless or slow requests, and says in JSON what is wrong with one that is no HTTP."""

    _refusal: tuple[int, str] | None = None
    _clock: asyncio.TimerHandle | None = None
    # Since when a request, or the first of a connection, is on its way; None between two.
    _awaited_since: float | None = None
    _in_head = True
    # How often a head was completed or some of a body came; and what came since that is neither,
    # which the parser keeps in memory: of a first line, headers or trailers.
    _steps = 0
    _head_bytes = 0

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._seconds = most_seconds()
        self._awaited_since = self.loop.time()
        self._clock = self.loop.call_later(self._seconds, self._look_at_clock)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return  # refused and being closed
        steps = self._steps
        super().data_received(data)
        if steps != self._steps:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES and self._refusal is None:
            self._refuse(431, _TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        if self._awaited_since is None:
            self._awaited_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._steps += 1
        self._in_head = False
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host" and not _HOST.fullmatch(value):
                self._unreadable(400, "the Host header is no name or address")
        if size > MOST_HEAD_BYTES:
            self._unreadable(431, _TOO_LONG)
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        self._awaited_since = None
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """uvicorn's, for whatever its parser does not take."""
        if self._refusal is None:
            self._refusal = (400, "what was sent is no HTTP/1.1 request")
        self._refuse(*self._refusal)

    def _unsupported_upgrade_warning(self) -> None:
        """A client may ask for another protocol; it gets HTTP/1.1."""

    def _unreadable(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _Unreadable(message)

    def _refuse(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        if self.transport.is_closing():
            return
        content = error_body(message)
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content)
            + b"connection: close\r\n\r\n"
            + content
        )
        # A close with something unread would take the answer away from whoever still sends.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _look_at_clock(self) -> None:
        if self._awaited_since is None:
            left = float(self._seconds)
        else:
            left = self._awaited_since + self._seconds - self.loop.time()
        if left > 0:
            self._clock = self.loop.call_later(left, self._look_at_clock)
        elif not self._in_head and self.cycle.response_started:
            self.transport.close()  # answered already; only its body goes on
        else:
            self._refuse(408, f"the request did not arrive within {self._seconds} s")


_TOO_LONG = f"the request's headers are larger than {MOST_HEAD_BYTES} bytes"
