"""Texts that a person may write as ``csv_url``, and answers of web servers."""

from __future__ import annotations

import gzip
import socket
import threading
from pathlib import Path

from hypothesis import strategies as st

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.input_files import pattern_of
from wine_quality.history.accepted_files import key_of
from wine_quality.sources.source import read_source
from wine_quality.sources.transfer import SourceError, SourceLimits, redact_url
from wine_quality_tests.fuzz.csv_files import GOOD
from wine_quality_tests.fuzz.damage import damaged
from wine_quality_tests.fuzz.outcome import require_clear

LIMITS = SourceLimits(
    max_bytes=1 << 20, timeout_seconds=0.5, total_seconds=10, attempts=2, retry_seconds=0
)
USER, PASSWORD = "user", "hunter2"
# Nothing here is asked of a name server, and nobody listens on port 9.
HOSTS = st.sampled_from(
    ["", "127.0.0.1:9", "[::1]:9", "[::1", "::1]", "[", "127.0.0.1:99999", "127.0.0.1:x"]
    + ["127.0.0.1:", "127.0.0.1:-1", "127.0.0.1:9:9", ".", "..", "." * 300, "a" * 70, "ⅷ℀.com"]
    + ["127.0.0.1:9\\@x", "127.0.0.1%00:9", "\u202e127.0.0.1:9", "[v1.x]:9", "[127.0.0.1]:9"]
)
PATHS = st.sampled_from(
    ["", "/", "/wines.csv", "//", "/../../x", "/%", "/%zz", "/%00", "/\0", "/a b", "/\n", "/\udcff"]
    + ["/" + "x" * 300, "/x" * 3000, "/?a=b#c", "?", "#", ";", "/*", "/[", "/{a,b}", "/~", "/٣"]
) | st.text(st.characters(), max_size=6)
SCHEMES = st.sampled_from(
    ["http://", "https://", "HTTP://", "http:", "http:/", "http:///", "file://", "file:", "s3://"]
    + ["s3:", "ftp://", "gs://", "data:text/csv,", "javascript:", "://", "//", "c:\\", "", "~", " "]
    + ["~nobody_here/", "http+unix://", "jar:file://", "1://", "\0://", "-"]
)
USERS = st.sampled_from(["", "", f"{USER}:{PASSWORD}@", f":{PASSWORD}@", f"a@b:{PASSWORD}@"])
URLS = st.builds(lambda *parts: "".join(parts), SCHEMES, USERS, HOSTS, PATHS) | st.text(
    st.characters(), max_size=30
)


def check_url(url: str, folder: Path) -> str:
    """In memory, by a streaming engine, and in what is shown of it."""
    outcome = "refused"
    shown = redact_url(url)
    secret = f"://{USER}:{PASSWORD}@" in url
    assert not secret or PASSWORD not in shown, shown
    try:
        place = pattern_of(url) if url else ""
        assert isinstance(place, str)
    except UnreadableFileError as error:
        require_clear(error)
    if url.startswith(("s3:", "S3:")) and url.count("/") > 2:
        return "not asked"  # a store is asked for it
    try:
        read_source(url, LIMITS)
        outcome = "read"
        key_of(url)
    except SourceError as error:
        require_clear(error)
        assert not secret or PASSWORD not in str(error), error
    return outcome


HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/csv\r\n"
PACKED = gzip.compress(GOOD)
BOMB = gzip.compress(b"\0" * (64 << 20))
WHOLE = [
    HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD,
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(PACKED) + PACKED,
    HEAD + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(BOMB) + BOMB,
    HEAD + b"Transfer-Encoding: chunked\r\n\r\n%x\r\n" % len(GOOD) + GOOD + b"\r\n0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:9/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://[/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 302 Found\r\nLocation: http://" + b"a" * 70 + b"/\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx",
    b"HTTP/1.1 204 No Content\r\n\r\n",
    b"HTTP/1.1 401 \xff\xfe\r\nWWW-Authenticate: Negotiate\r\nContent-Length: 0\r\n\r\n",
    HEAD + b"Content-Encoding: deflate, gzip, gzip\r\n\r\n" + PACKED,
    HEAD + b"X: " + b"y" * 70_000 + b"\r\n\r\n",
    HEAD + b"X: y\r\n" * 300 + b"\r\n" + GOOD,
]
ANSWERS = st.sampled_from(WHOLE) | st.sampled_from(WHOLE).flatmap(
    lambda whole: damaged(whole) if len(whole) < 10_000 else st.just(whole)
)


class RawServer:
    """Answers every connection with the same bytes."""

    def __init__(self) -> None:
        self.answer = b""
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/wines.csv"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._socket.accept()
            with connection:
                try:
                    connection.settimeout(2)
                    connection.recv(65536)
                    connection.sendall(self.answer)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65536):
                        pass
                except OSError:
                    continue


_SERVERS: list[RawServer] = []


def check_answer(answer: bytes, folder: Path) -> str:
    if not _SERVERS:
        _SERVERS.append(RawServer())
    server = _SERVERS[0]
    server.answer = answer
    try:
        read = read_source(server.url, LIMITS)
    except SourceError as error:
        require_clear(error, server.url)
        return "refused"
    assert len(read.content) <= LIMITS.max_bytes
    return "read"
