"""The proxy's connections to the servers behind it."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import requests

from wine_quality_tests.unit.stack.test_proxy import BASIC, Proxy


class OneAnswer(BaseHTTPRequestHandler):
    """Keeps its connection open, and closes it when it is used again, as a server does that has
    just found it idle for too long."""

    protocol_version = "HTTP/1.1"
    answered = False

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.close_connection = self.answered
        if not self.answered:
            self.answered = True
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


def test_a_post_is_not_lost_with_a_connection_that_was_idle(tmp_path):
    """Uvicorn closes one after five seconds: a run that was launched then got 502."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), OneAnswer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    proxy = Proxy(tmp_path, f"127.0.0.1:{server.server_address[1]}")
    try:
        proxy.await_ready()
        page, login = f"http://localhost:{proxy.port}/graphql", {"Authorization": BASIC}
        with requests.Session() as people:
            found = [people.post(page, data=b"{}", headers=login, timeout=20) for _ in range(3)]
        assert [answer.status_code for answer in found] == [200, 200, 200]
    finally:
        proxy.stop()
        server.shutdown()
        server.server_close()
