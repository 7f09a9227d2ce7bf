"""A proxy before a real MLflow or S3 server that counts requests, and can hold or refuse some,
fail now and then, or lose an answer."""

from __future__ import annotations

import http.client
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

_REFUSAL = (400, b'{"error_code": "BAD_REQUEST", "message": "refused"}')
_HOP = {"connection", "keep-alive", "transfer-encoding", "content-length", "host", "te"}


class FaultProxy:
    """Passes requests on until it is told to hold or refuse those whose path matches.

    ``requests`` has the method and path of each that came.

    Args:
        target: Address of the server.
        keep_host: Send on the Host header that came, which is part of what S3's clients sign.
    """

    def __init__(self, target: str, keep_host: bool = False) -> None:
        self.target = urlsplit(target)
        self.requests: list[tuple[str, str]] = []
        self.held = threading.Event()
        self._released = threading.Event()
        self._released.set()
        self._hold: re.Pattern[str] | None = None
        self._passing = 0
        self._refuse: re.Pattern[str] | None = None
        self._refusals_left: int | None = None
        self._refusal = _REFUSAL
        self._accepted_first = 0
        self._authorization: str | None = None
        self._lose: re.Pattern[str] | None = None
        self.lost = 0
        self._fail_every = 0
        self.failed = 0
        self._since = 0
        self._dropped = _HOP - {"host"} if keep_host else _HOP
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"

    def hold(self, pattern: str, after: int = 0) -> None:
        """Keep matching requests waiting until ``release``; ``held`` tells when one came.

        The first ``after`` of them pass.
        """
        self.held.clear()
        self._released.clear()
        self._hold, self._passing = re.compile(pattern), after

    def _holds(self, path: str) -> bool:
        if not (self._hold and self._hold.search(path)):
            return False
        self._passing -= 1
        return self._passing < 0

    def release(self) -> None:
        self._hold = None
        self._released.set()

    def refuse(
        self,
        pattern: str | None,
        times: int | None = None,
        after: int = 0,
        answer: tuple[int, bytes] = _REFUSAL,
    ) -> None:
        """Answer matching requests with a status and body, by default 400, which no client
        retries; None ends it.

        The first ``after`` of them pass, and all after ``times`` more.
        """
        self._refuse = re.compile(pattern) if pattern else None
        self._refusals_left, self._accepted_first, self._refusal = times, after, answer

    def lose_answer(self, pattern: str | None) -> None:
        """Have the next request whose "METHOD path" matches executed, and break its connection
        instead of handing the answer on."""
        self.lost = 0
        self._lose = re.compile(pattern) if pattern else None

    def fail_every(self, nth: int) -> None:
        """Answer every nth request with 500, without asking the server; 0 ends it."""
        self._fail_every, self._since, self.failed = nth, 0, 0

    def _fails(self) -> bool:
        if not self._fail_every:
            return False
        self._since += 1
        if self._since % self._fail_every:
            return False
        self.failed += 1
        return True

    def _loses(self, request: str) -> bool:
        if not (self._lose and self._lose.search(request)):
            return False
        self._lose = None
        self.lost += 1
        return True

    def require(self, authorization: str) -> None:
        """Answer 401 to requests without this Authorization header, as a gateway does."""
        self._authorization = authorization

    def _refuses(self, path: str) -> bool:
        if not (self._refuse and self._refuse.search(path)) or self._refusals_left == 0:
            return False
        self._accepted_first -= 1
        if self._accepted_first >= 0:
            return False
        if self._refusals_left is not None:
            self._refusals_left -= 1
        return True

    def stop(self) -> None:
        self.release()
        self._server.shutdown()
        self._server.server_close()

    def _handler(proxy) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler is self
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def forward(self) -> None:
                proxy.requests.append((self.command, self.path))
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                if proxy._holds(self.path):
                    proxy.held.set()
                    proxy._released.wait()
                wanted = proxy._authorization
                if wanted and self.headers.get("Authorization") != wanted:
                    self.answer(401, {"WWW-Authenticate": "Basic"}, b"who are you?")
                    return
                if proxy._fails():
                    self.answer(500, {}, b"now and then")
                    return
                if proxy._refuses(self.path):
                    status, content = proxy._refusal
                    self.answer(status, {}, content)
                    return
                upstream = http.client.HTTPConnection(
                    proxy.target.hostname or "", proxy.target.port, timeout=60
                )
                try:
                    headers = {
                        k: v for k, v in self.headers.items() if k.lower() not in proxy._dropped
                    }
                    upstream.request(self.command, self.path, body, headers)
                    reply = upstream.getresponse()
                    content = reply.read()
                    if proxy._loses(f"{self.command} {self.path}"):
                        self.close_connection = True
                        return
                    length = len(content)
                    if self.command == "HEAD":  # what a GET would bring
                        length = int(reply.getheader("Content-Length") or 0)
                    self.answer(reply.status, dict(reply.getheaders()), content, length)
                except (OSError, http.client.HTTPException):
                    # Client or server was killed meanwhile.
                    self.close_connection = True
                finally:
                    upstream.close()

            def answer(
                self,
                status: int,
                headers: dict[str, str],
                content: bytes,
                length: int | None = None,
            ) -> None:
                self.send_response(status)
                for name, value in headers.items():
                    if name.lower() not in _HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content) if length is None else length))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward

        return Handler
