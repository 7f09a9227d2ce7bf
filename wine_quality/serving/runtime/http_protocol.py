"""uvicorn's HTTP protocol with limits for what comes before an application sees a request."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import httptools
import orjson
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from .columns import shortened
from .limits import most_seconds

MOST_HEAD_BYTES = 64 * 1024
"""Most bytes of a request's first line and headers."""
_MOST_SAID = 1000
_LINGER_SECONDS = 1.0
# Starlette takes the request's address apart by it, whatever it holds.
_HOST = re.compile(rb"(?:[\w.~%!$&'()*+,;=-]*|\[[0-9A-Fa-f:.]+\])(?::[0-9]{0,5})?", re.ASCII)


def error_body(message: str) -> bytes:
    """``{"error": message}`` as JSON, for a message of any characters; a long one is cut."""
    return orjson.dumps({"error": shortened(message, _MOST_SAID)})


class _UnreadableRequestError(Exception):
    """Ends the parser; what to answer stands in ``RequestProtocol._refusal``."""


class RequestProtocol(HttpToolsProtocol):
    """Refuses endless or slow requests, and those that are not HTTP, with an error in JSON."""

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
        self._clock = self.loop.call_later(self._seconds, self._check_deadline)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._clock is not None:
            self._clock.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refusal is not None:
            return  # refused and being closed
        steps = self._steps
        self._unset_keepalive_if_required()
        try:
            self._feed(data)
        except httptools.HttpParserError:
            self._refuse(*(self._refusal or (400, "what was sent is not an HTTP/1.1 request")))
            return
        if steps != self._steps:
            self._head_bytes = 0
            return
        self._head_bytes += len(data)
        if self._head_bytes > MOST_HEAD_BYTES and self._refusal is None:
            self._refuse(431, _TOO_LONG)

    def _feed(self, data: bytes) -> None:
        while True:
            try:
                return self.parser.feed_data(data)
            except httptools.HttpParserUpgrade as upgrade:
                # The parser takes what follows for the other protocol. It is the body of a client
                # that would rather speak HTTP/2, such as Java's: all is read again without that.
                head = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
                head += [b"%b: %b" % field for field in self.headers if field[0] != b"upgrade"]
                data = b"\r\n".join([*head, b"", b""]) + data[upgrade.args[0] :]
                self.parser = httptools.HttpRequestParser(self)
                self.parser.set_dangerous_leniencies(lenient_data_after_close=True)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        if self._awaited_since is None:
            self._awaited_since = self.loop.time()

    def on_headers_complete(self) -> None:
        self._steps += 1
        size = len(self.url)
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host" and not _HOST.fullmatch(value):
                self._unreadable(400, "the Host header is not a name or address")
        if size > MOST_HEAD_BYTES:
            self._unreadable(431, _TOO_LONG)
        if self.parser.get_method() == b"CONNECT":
            self._unreadable(405, "this is not a proxy: there is no CONNECT")
        if not self.parser.should_upgrade():
            super().on_headers_complete()
            self._in_head = False

    def on_body(self, body: bytes) -> None:
        self._steps += 1
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._steps += 1
        self._awaited_since = None
        if not self.parser.should_upgrade():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._refusal is not None and self._is_idle():
            self._say(*self._refusal)

    def _is_idle(self) -> bool:
        """Whether everything that was asked has been answered."""
        return not self.pipeline and (self.cycle is None or self.cycle.response_complete)

    def _unreadable(self, status: int, message: str) -> None:
        self._refusal = (status, message)
        raise _UnreadableRequestError(message)

    def _refuse(self, status: int, message: str) -> None:
        """Send the error after the answers to earlier requests, and read nothing more."""
        self._refusal = (status, message)
        if self._is_idle() and not self._in_head and self._awaited_since is not None:
            self.transport.close()  # answered already; only its body went on
            return
        if not self._is_idle() and not self._in_head and self.cycle.more_body:  # this one's body
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            if self.pipeline:
                self.pipeline.popleft()
            else:
                self.cycle.response_complete = True
        if self._is_idle():
            self._say(status, message)

    def _say(self, status: int, message: str) -> None:
        if self.transport.is_closing():
            return
        content = error_body(message)
        self._unset_keepalive_if_required()
        self.transport.write(
            STATUS_LINE[status]
            + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(content)
            + b"connection: close\r\n\r\n"
            + content
        )
        # A close with unread bytes would take the answer away from a client that still sends.
        self.transport.write_eof()
        self.loop.call_later(_LINGER_SECONDS, self.transport.close)

    def _check_deadline(self) -> None:
        if self._refusal is not None:
            return
        if self._awaited_since is None:
            left = float(self._seconds)
        else:
            left = self._awaited_since + self._seconds - self.loop.time()
        if left > 0:
            self._clock = self.loop.call_later(left, self._check_deadline)
        else:
            self._refuse(408, f"the request did not arrive within {self._seconds} s")


_TOO_LONG = f"the request's headers are larger than {MOST_HEAD_BYTES} bytes"
