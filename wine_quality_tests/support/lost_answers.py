"""A proxy before PostgreSQL that carries a statement to it and loses the answer."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress


class LostAnswers:
    """On 127.0.0.1 and a port of its own.

    The first connection that sends ``word`` is closed when the server has answered that message;
    the answer is not handed on. Everything else passes.
    """

    def __init__(self, server_port: int, word: bytes) -> None:
        self._server_port, self._word = server_port, word
        self.lost = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._server_port))
                losing = threading.Event()
                for arguments in ((client, server, losing, True), (server, client, losing, False)):
                    threading.Thread(target=self._carry, args=arguments, daemon=True).start()

    def _carry(
        self, source: socket.socket, sink: socket.socket, losing: threading.Event, asks: bool
    ) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if asks and self._word in data and not self.lost:
                    self.lost += 1
                    losing.set()
                elif not asks and losing.is_set():
                    break
                sink.sendall(data)
        for end in (source, sink):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
