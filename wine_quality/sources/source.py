"""Bytes from a path, ``file://``, ``http(s)://`` or ``s3://``, with limits on size and time."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from urllib.parse import unquote

from wine_quality.sources.allowed_sources import check_allowed, check_opened, scheme_of
from wine_quality.sources.transfer import (
    SourceError,
    SourceLimits,
    path_of,
    redact_url,
    split_url,
    too_large,
    with_retries,
    within_deadline,
)

__all__ = [
    "Source",
    "SourceError",
    "SourceLimits",
    "local_path_of",
    "read_source",
]


@dataclass(frozen=True)
class Source:
    """Content read from a source, with its SHA-256 and its URL without secrets."""

    url: str
    content: bytes
    sha256: str


def read_source(
    url: str,
    limits: SourceLimits = SourceLimits(),  # noqa: B008 - frozen
    report: Callable[[str], None] | None = None,
) -> Source:
    """Read all of it.

    Raises:
        SourceError: missing, refused, too large, too slow, of an unknown scheme, or not allowed.
    """
    say = report or (lambda _line: None)
    parts = split_url(url)
    scheme = scheme_of(url)
    if scheme not in ("http", "https", "s3", "file"):
        raise SourceError(f"{redact_url(url)}: use https://, http://, s3://, file:// or a path.")
    check_allowed(url)
    if scheme in ("http", "https", "s3"):
        from wine_quality.sources.s3 import read_s3
        from wine_quality.sources.web import read_http

        def read(given_up: Event) -> bytes:
            return read_s3(url, limits) if scheme == "s3" else read_http(url, limits, given_up)

        content = within_deadline(
            lambda given_up: with_retries(lambda: read(given_up), url, limits, say), url, limits
        )
    else:
        path = local_path_of(url) if parts.scheme == "file" else path_of(url)
        content = _read_path(path, url, limits)
    return Source(redact_url(url), content, hashlib.sha256(content).hexdigest())


def local_path_of(url: str) -> Path:
    """The path that a ``file://`` URL names.

    Raises:
        SourceError: it names a host.
    """
    parts = split_url(url)
    if parts.netloc not in ("", "localhost"):
        host = parts.netloc.rpartition("@")[2]
        raise SourceError(
            f"{redact_url(url)} names the host {host!r}. A local file has three slashes: "
            f"file:///{host}{parts.path}"
        )
    return Path(unquote(parts.path))


def _read_path(path: Path, url: str, limits: SourceLimits) -> bytes:
    try:
        if not path.exists():
            raise SourceError(
                f"{url} does not exist (looked for {path.absolute()}). Check {limits.url_setting}."
            )
        if not path.is_file():
            raise SourceError(
                f"{url} is not a regular file. {limits.url_setting} must name a CSV file."
            )
        with path.open("rb") as file:
            check_opened(file.fileno(), path, url)
            content = file.read(limits.max_bytes + 1)
    except OSError as error:
        raise SourceError(f"{url} cannot be read: {error.strerror}.") from error
    if len(content) > limits.max_bytes:
        raise too_large(url, limits)
    return content
