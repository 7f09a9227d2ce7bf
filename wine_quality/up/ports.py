"""Sockets that listen on this machine's own address."""

from __future__ import annotations

import socket

from wine_quality.escaping import ProjectError

_BACKLOG = 128
_PROBE_SECONDS = 0.5


class PortTakenError(ProjectError, RuntimeError):
    """Somebody else listens on the port that was asked for; the message names it."""


def listen(port: int, *, given: bool, what: str) -> tuple[socket.socket, str | None]:
    """A socket that listens on 127.0.0.1.

    Args:
        port: The one wanted.
        given: Whether a person asked for it; else a free one is as good.
        what: Named in messages: ``Dagster UI``.

    Returns:
        The socket, and a sentence if it has another port than the one wanted.

    Raises:
        PortTakenError: the port given is taken, or may not be listened on.
    """
    try:
        return _listen(port), None
    except OSError as error:
        if given:
            raise PortTakenError(
                f"the {what} cannot have port {port}, which was asked for: {error.strerror}."
            ) from None
    other = _listen(0)
    return other, f"Port {port} is taken: the {what} is on {port_of(other)}."


def port_of(listening: socket.socket) -> int:
    return int(listening.getsockname()[1])


def _listen(port: int) -> socket.socket:
    if port and _answers_on_ipv6(port):
        # "localhost" would lead browsers there.
        raise OSError(98, "Address already in use")
    listening = socket.socket()
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        listening.listen(_BACKLOG)
    except OverflowError:
        listening.close()
        raise OSError(22, "it is not a port from 1 to 65535") from None
    except BaseException:
        listening.close()
        raise
    return listening


def _answers_on_ipv6(port: int) -> bool:
    try:
        with socket.create_connection(("::1", port), _PROBE_SECONDS):
            return True
    except (OSError, OverflowError):
        return False
