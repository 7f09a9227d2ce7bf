"""The head of one HTTP/1 request, as far as a forwarder needs it."""

from __future__ import annotations

from dataclasses import dataclass

from wine_quality.escaping import ProjectError

# Of one connection only; the one that goes on carries a single request.
_HOP_BY_HOP = {"connection", "keep-alive", "proxy-connection", "upgrade", "te"}
# The guard has checked these; the server behind it is reached only through the guard.
_CHECKED = {"host", "origin", "sec-fetch-site", "sec-fetch-mode", "sec-fetch-dest"}


class MalformedRequestError(ProjectError, ValueError):
    """The bytes are not an HTTP/1 request."""


@dataclass(frozen=True)
class RequestHead:
    """``target`` is the path with its query."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, head: bytes) -> RequestHead:
        """
        Raises:
            MalformedRequestError: names nothing of what was sent.
        """
        first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
        words = first.split(" ")
        if len(words) != 3 or words[2] not in ("HTTP/1.1", "HTTP/1.0") or words[1][:1] != "/":
            raise MalformedRequestError("a request of HTTP/1 is expected")
        headers = []
        for line in lines:
            name, colon, value = line.partition(":")
            if not colon or not name or name != name.strip() or "\n" in line or "\r" in line:
                raise MalformedRequestError("a header is malformed")
            headers.append((name, value.strip()))
        return cls(words[0], words[1], tuple(headers))

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    def forwarded(self, host: str) -> bytes:
        """The head for the server behind, which closes the connection after its answer."""
        kept = [
            (name, value)
            for name, value in self.headers
            if name.lower() not in _HOP_BY_HOP | _CHECKED
        ]
        lines = [f"{self.method} {self.target} HTTP/1.1", f"Host: {host}", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in kept]
        return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def answer(status: str, text: str, *headers: str) -> bytes:
    """A whole answer in plain text."""
    body = f"{text}\n".encode()
    lines = [f"HTTP/1.1 {status}", "Content-Type: text/plain; charset=utf-8"]
    lines += [f"Content-Length: {len(body)}", "Connection: close", "Cache-Control: no-store"]
    return "\r\n".join([*lines, *headers, "", ""]).encode("latin-1") + body
