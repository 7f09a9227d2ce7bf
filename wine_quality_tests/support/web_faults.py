"""A web server that serves the wines, and every way in which one can go wrong."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from wine_quality.paths import PACKAGED_RED_WINE

WINES = PACKAGED_RED_WINE.read_bytes()
_DRIP_SECONDS = 0.05


class WebFaults:
    """One route per fault; ``requests`` counts them by path. With ``tls`` it speaks https."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self.requests: Counter[str] = Counter()
        self.etag: str | None = "one"
        self.last_modified: str | None = None
        self.body = WINES
        self.target = ""
        self.stopped = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        if tls is not None:
            # The handshake waits for the thread of its request: nobody is to hold up the others.
            self._server.socket = tls.wrap_socket(
                self._server.socket, server_side=True, do_handshake_on_connect=False
            )
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        scheme = "http" if tls is None else "https"
        self.url = f"{scheme}://127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()


def _handler(web: WebFaults) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_GET(self) -> None:
            name = self.path.partition("?")[0].strip("/").replace("-", "_").removesuffix(".csv")
            web.requests[name] += 1
            try:
                getattr(self, f"get_{name}", self.get_nothing)()
            except (BrokenPipeError, ConnectionResetError, ssl.SSLError):
                pass  # the reader has had enough

        def send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for key, value in {"Content_Length": str(len(body)), **headers}.items():
                self.send_header(key.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(body)

        def get_nothing(self) -> None:
            self.send(404, b"<html>nothing</html>")

        def get_wines(self) -> None:
            self.send(200, WINES)

        def get_tagged(self) -> None:
            self.send(200, WINES, ETag=f'"{web.etag}"')

        def get_dated(self) -> None:
            headers = {"ETag": web.etag and f'"{web.etag}"', "Last_Modified": web.last_modified}
            self.send(200, web.body, **{key: text for key, text in headers.items() if text})

        def get_gzip(self) -> None:
            self.send(200, gzip.compress(WINES), Content_Encoding="gzip")

        def get_packed(self) -> None:
            """A file that is gzip, where ``get_gzip`` packs a plain one for the way."""
            self.send(200, gzip.compress(WINES), Content_Type="application/gzip")

        def get_bomb(self) -> None:
            """A thousandth of what it unpacks to."""
            self.send(200, gzip.compress(b"0" * 50_000_000), Content_Encoding="gzip")

        def get_html(self) -> None:
            self.send(200, b"<!DOCTYPE html><html><title>Please sign in</title></html>")

        def get_empty(self) -> None:
            self.send(200, b"")

        def get_flaky(self) -> None:
            if web.requests["flaky"] < 3:
                self.send(503, b"")
            else:
                self.get_wines()

        def get_busy(self) -> None:
            self.send(503, b"")

        def get_hang(self) -> None:
            web.stopped.wait()

        def get_short(self) -> None:
            """Less than it promised, cut at a line's end: only the length tells."""
            body = WINES[: WINES.rindex(b"\n", 0, 40_000) + 1]
            self.send(200, body, Content_Length=str(len(WINES)))

        def get_redirect(self) -> None:
            self.send(302, b"", Location="/wines.csv")

        def get_redirect_to(self) -> None:
            self.send(302, b"", Location=web.target)

        def get_chain_to(self) -> None:
            self.send(301, b"", Location="/redirect_to")

        def get_loop(self) -> None:
            self.send(302, b"", Location="/loop")

        def get_elsewhere(self) -> None:
            self.send(302, b"", Location="file:///etc/passwd")

        def get_columns(self) -> None:
            self.send(200, b";".join(b"c%d" % i for i in range(1_000_000)) + b"\n")

        def get_endless(self) -> None:
            self.send_response(200)
            self.end_headers()
            while not web.stopped.is_set():
                self.wfile.write(WINES)

        def get_drip(self) -> None:
            """Always alive, never done: no time-out between bytes ever ends it."""
            self.send_response(200)
            self.end_headers()
            self.drip()

        def get_drip_header(self) -> None:
            self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Slow: ")
            self.drip()

        def drip(self) -> None:
            while not web.stopped.wait(_DRIP_SECONDS):
                self.wfile.write(b"7")
                self.wfile.flush()

    return Handler
