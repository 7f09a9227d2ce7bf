"""Messages of launcher and warm process over a unix socket: a line of JSON each way.

Standard library only. The launcher asks::

    {"ask": "launch", "run": …, "instance": …, "state": …}   with its standard output and error
and is answered with ``{"pid": …}`` by the run's process itself, which begins when it reads
``{"begin": true}``. Until then nothing has happened: a launch that breaks off has run nothing.
"""

from __future__ import annotations

import json
import os
import socket
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wine_quality.escaping import ProjectError

_LONGEST = 1 << 20


class ConnectionEndedError(ProjectError, RuntimeError):
    """The other end closed the connection, or sent nothing for too long."""


@contextmanager
def short_path(path: Path) -> Iterator[str]:
    """A name of a socket that fits into the 107 bytes that the kernel takes."""
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def connect(path: Path, seconds: float) -> socket.socket:
    """Raises ``OSError`` when nobody listens."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(seconds)
    try:
        with short_path(path) as name:
            connection.connect(name)
    except OSError:
        connection.close()
        raise
    return connection


def listen(path: Path) -> socket.socket:
    """Listen at ``path``, replacing an earlier socket there; only this user may connect."""
    listener = socket.socket(socket.AF_UNIX)
    path.unlink(missing_ok=True)
    with short_path(path) as name:
        listener.bind(name)
    path.chmod(0o600)
    listener.listen(64)
    return listener


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, user, _group = struct.unpack("3i", raw)
    return pid, user


def send(
    connection: socket.socket, message: Mapping[str, Any], descriptors: tuple[int, ...] = ()
) -> None:
    """Raises ``ConnectionEndedError``."""
    content = json.dumps(message).encode() + b"\n"
    try:
        sent = socket.send_fds(connection, [content], descriptors) if descriptors else 0
        connection.sendall(content[sent:])
    except OSError as error:
        raise ConnectionEndedError(str(error)) from error


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """A message, and the descriptors that came with it.

    Raises:
        ConnectionEndedError: none came.
    """
    content, descriptors = b"", []
    try:
        while not content.endswith(b"\n"):
            part, more, _flags, _address = socket.recv_fds(connection, 1 << 16, 2)
            descriptors += more
            content += part
            if not part or len(content) > _LONGEST:
                raise ConnectionEndedError("the other end closed the connection")
        return json.loads(content), descriptors
    except (OSError, ValueError, ConnectionEndedError) as error:
        for descriptor in descriptors:
            os.close(descriptor)
        raise ConnectionEndedError(str(error)) from error
