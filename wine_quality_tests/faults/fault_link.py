"""A TCP link to a server that can go down or hang while it is in use: any protocol passes."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

_PASS, _HANG, _DOWN = "pass", "hang", "down"


class FaultLink:
    """On 127.0.0.1 and a port of its own, before the port of a server.

    ``down`` refuses connections and cuts those that are there; ``hang`` accepts them and carries
    nothing, either way; ``restore`` cuts what hangs, as a restarted server does, and carries again.
    """

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._lock = threading.Lock()
        self._state = _PASS
        self._lose: bytes | None = None
        self._losing: set[socket.socket] = set()
        self.lost = 0
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.port = self._listener.getsockname()[1]
        self._serve()

    def _serve(self) -> None:
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def down(self) -> None:
        with self._lock:
            self._state = _DOWN
            # A thread blocked in accept() keeps a merely closed socket listening.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
        self._cut()

    def hang(self) -> None:
        with self._lock:
            self._state = _HANG

    def lose_answer(self, word: bytes) -> None:
        """The next connection that sends ``word`` is cut when the server has answered that."""
        self.lost, self._lose = 0, word

    def restore(self) -> None:
        """Carry on; nothing happens to connections that never were disturbed."""
        self._lose = None
        with self._lock:
            before, self._state = self._state, _PASS
            if before == _DOWN:
                self._listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
                self._serve()
        if before == _HANG:
            self._cut()

    def close(self) -> None:
        self.down()

    def _cut(self) -> None:
        with self._lock:
            ends, self._open = self._open, set()
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self, listener: socket.socket) -> None:
        with suppress(OSError):  # closed
            while True:
                client, _ = listener.accept()
                threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with self._lock:
            self._open.add(client)
        try:
            server = socket.create_connection(("127.0.0.1", self._target_port), timeout=10)
        except OSError:
            self._end(client)
            return
        server.settimeout(None)
        with self._lock:
            self._open.add(server)
            cut = self._state == _DOWN
        if cut:
            self._end(client, server)
            return
        for source, sink in ((client, server), (server, client)):
            threading.Thread(target=self._carry, args=(source, sink), daemon=True).start()

    def _carry(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if self._lose and self._lose in data:
                    self._lose = None
                    self._losing.add(sink)  # whose answer it is
                elif source in self._losing:
                    self._losing.discard(source)
                    self.lost += 1
                    break
                # What comes while it hangs is lost; its connection is cut when it is restored.
                if self._state == _PASS:
                    sink.sendall(data)
        self._end(source, sink)

    def _end(self, *ends: socket.socket) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
        with self._lock:
            self._open.difference_update(ends)
