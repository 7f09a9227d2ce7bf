"""Bytes from a path, ``file://``, ``http(s)://`` or ``s3://``, with limits on size and time."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, urlsplit, urlunsplit

PACKAGED_RED_WINE = Path(__file__).with_name("winequality-red.csv")
_CHUNK = 1 << 16


class SourceError(Exception):
    """The source cannot be read; the message names it and says what to do."""


@dataclass(frozen=True)
class SourceLimits:
    """Sizes in bytes, times in seconds; ``attempts`` counts the first try too."""

    max_bytes: int = 256 * 1024 * 1024
    timeout_seconds: float = 10.0
    total_seconds: float = 120.0
    attempts: int = 3


@dataclass(frozen=True)
class Source:
    """What was read: a URL without its secrets, the content and its SHA-256."""

    url: str
    content: bytes
    sha256: str


def redact_url(url: str) -> str:
    """The URL without user, password and query, which may carry secrets."""
    parts = urlsplit(url)
    if not parts.scheme:
        return url
    host = parts.netloc.rpartition("@")[2]
    return urlunsplit((parts.scheme, host, parts.path, "…" if parts.query else "", ""))


def read_source(
    url: str,
    limits: SourceLimits = SourceLimits(),  # noqa: B008 - frozen
    report: Callable[[str], None] | None = None,
) -> Source:
    """Read all of it.

    Raises:
        SourceError: missing, refused, too large, too slow, or of an unknown scheme.
    """
    say = report or (lambda _line: None)
    scheme = urlsplit(url).scheme
    if scheme in ("http", "https"):
        content = _with_retries(lambda: _read_http(url, limits), url, limits, say)
    elif scheme == "s3":
        content = _read_s3(url, limits)
    elif scheme == "file":
        content = _read_path(Path(unquote(urlsplit(url).path)), url, limits)
    elif "://" not in url:
        content = _read_path(Path(url).expanduser(), url, limits)
    else:
        raise SourceError(f"{redact_url(url)}: use https://, http://, s3://, file:// or a path.")
    return Source(redact_url(url), content, hashlib.sha256(content).hexdigest())


def _too_large(url: str, limits: SourceLimits) -> SourceError:
    return SourceError(
        f"{redact_url(url)} is larger than the limit of {limits.max_bytes / 2**20:g} MB "
        "(raw_wine_csv's max_megabytes). Raise the limit if this is the right file."
    )


def _read_path(path: Path, url: str, limits: SourceLimits) -> bytes:
    if not path.exists():
        raise SourceError(f"{url} does not exist (looked for {path.absolute()}). Check csv_url.")
    if not path.is_file():
        raise SourceError(f"{url} is not a regular file. csv_url must name a CSV file.")
    if path.stat().st_size > limits.max_bytes:
        raise _too_large(url, limits)
    try:
        return path.read_bytes()
    except OSError as error:
        raise SourceError(f"{url} cannot be read: {error.strerror}.") from error


class _Retryable(Exception):
    """A fault that may pass."""


def _with_retries(
    read: Callable[[], bytes], url: str, limits: SourceLimits, say: Callable[[str], None]
) -> bytes:
    for attempt in range(1, limits.attempts + 1):
        try:
            return read()
        except _Retryable as error:
            if attempt == limits.attempts:
                raise SourceError(
                    f"{redact_url(url)}: {error}, after {attempt} attempt(s). "
                    "Check the address and that the host is up."
                ) from error
            say(f"{redact_url(url)}: {error}; trying again ({attempt} of {limits.attempts})")
            time.sleep(0.5 * 2 ** (attempt - 1))
    raise AssertionError("attempts is at least 1")


def _read_http(url: str, limits: SourceLimits) -> bytes:
    import requests

    deadline = time.monotonic() + limits.total_seconds
    pieces, size = [], 0
    try:
        with requests.get(url, stream=True, timeout=limits.timeout_seconds) as answer:
            if answer.status_code == 429 or answer.status_code >= 500:
                raise _Retryable(f"the server answered {answer.status_code} {answer.reason}")
            if answer.status_code != 200:
                raise SourceError(
                    f"{redact_url(url)}: the server answered {answer.status_code} "
                    f"{answer.reason}. Check csv_url."
                )
            for piece in answer.iter_content(_CHUNK):
                size += len(piece)
                if size > limits.max_bytes:
                    raise _too_large(url, limits)
                if time.monotonic() > deadline:
                    raise SourceError(
                        f"{redact_url(url)} took longer than {limits.total_seconds:g} s in all "
                        "(raw_wine_csv's total_seconds)."
                    )
                pieces.append(piece)
    except requests.Timeout as error:
        raise _Retryable(f"no answer within {limits.timeout_seconds:g} s") from error
    except requests.exceptions.SSLError as error:
        raise SourceError(f"{redact_url(url)}: TLS failed. Check its certificate.") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise _Retryable(f"the connection failed ({type(error).__name__})") from error
    except requests.RequestException as error:
        raise SourceError(
            f"{redact_url(url)}: not a usable URL ({type(error).__name__})."
        ) from error
    return b"".join(pieces)


def _read_s3(url: str, limits: SourceLimits) -> bytes:
    import s3fs

    endpoint = next(
        (
            os.environ[name]
            for name in ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL")
            if os.environ.get(name)
        ),
        None,
    )
    store = s3fs.S3FileSystem(
        endpoint_url=endpoint,
        config_kwargs={
            "connect_timeout": limits.timeout_seconds,
            "read_timeout": limits.timeout_seconds,
            "retries": {"max_attempts": limits.attempts},
        },
    )
    try:
        if store.info(url)["size"] > limits.max_bytes:
            raise _too_large(url, limits)
        return store.cat_file(url)
    except SourceError:
        raise
    except FileNotFoundError as error:
        raise SourceError(f"{url}: no such bucket or object.") from error
    except PermissionError as error:
        raise SourceError(f"{url}: access denied. Check the AWS_* credentials.") from error
    except Exception as error:  # botocore's errors share no base with the network's
        raise SourceError(f"{url} cannot be read from {endpoint or 'AWS'}: {error}") from error
