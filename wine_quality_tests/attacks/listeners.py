"""Servers of the attacker's, which keep all that reaches them."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

# Containers reach this machine by another address than its own.
ANYWHERE = "0.0.0.0"
ANSWER = b"the s3cret that only this server tells"


class HttpListener:
    """Answers every request with ``ANSWER`` and status 404."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        got: list[str] = []

        class Handler(BaseHTTPRequestHandler):
            def _take(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                got.append(f"{self.requestline}\n{self.headers}\n{body.decode('latin-1')}")
                self.send_response(404)
                self.send_header("Content-Length", str(len(ANSWER)))
                self.end_headers()
                self.wfile.write(ANSWER)

            do_GET = do_POST = do_PUT = do_HEAD = do_PATCH = do_DELETE = _take

            def log_message(self, *_: object) -> None:
                pass

        self.got = got
        self._server = ThreadingHTTPServer((address, 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class PostgresListener:
    """Asks whoever connects for the password in the clear, as a PostgreSQL server may."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self.got: list[str] = []
        self._socket = socket.create_server((address, 0))
        self.port = self._socket.getsockname()[1]
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        with connection:
            connection.settimeout(10)
            try:
                first = connection.recv(4096)
                if len(first) == 8:  # for TLS or GSSAPI first
                    connection.sendall(b"N")
                    first = connection.recv(4096)
                connection.sendall(b"R\0\0\0\x08\0\0\0\x03")
                password = connection.recv(4096)
            except OSError:
                return
            self.got.append((first + password).decode("latin-1"))

    def stop(self) -> None:
        self._socket.close()
