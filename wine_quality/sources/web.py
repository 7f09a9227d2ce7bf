"""Bytes and headers over ``http(s)://``, from hosts that are allowed."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wine_quality.sources.transfer import (
    SourceError,
    SourceLimits,
    TransientSourceError,
    redact_url,
    too_large,
)

if TYPE_CHECKING:
    import requests

_CHUNK = 1 << 16


@contextmanager
def _get(url: str, limits: SourceLimits) -> Iterator[requests.Response]:
    """The headers of an answer 200; its body is still to be read.

    Raises:
        SourceError: an answer that will stay as it is (404, too large, no URL), or a host, after
            a redirect too, that is not allowed.
        TransientSourceError: 429, 5xx, no answer, a broken connection, less than was announced.
    """
    import requests
    from urllib3.exceptions import HTTPError

    try:
        with _answer(url, limits) as answer:
            status = f"{answer.status_code} {answer.reason}"
            if answer.status_code == 429 or answer.status_code >= 500:
                raise TransientSourceError(f"the server answered {status}")
            if answer.status_code != 200:
                raise SourceError(
                    f"{redact_url(url)}: the server answered {status}. Check {limits.url_setting}."
                )
            yield answer
    except SourceError as error:
        if redact_url(url) in str(error):
            raise
        # Of a host that the server has sent us on to.
        raise type(error)(f"{redact_url(url)} leads to {error}") from error
    except requests.Timeout as error:
        raise TransientSourceError(f"no answer within {limits.timeout_seconds:g} s") from error
    except requests.exceptions.SSLError as error:
        raise SourceError(f"{redact_url(url)}: TLS failed. Check its certificate.") from error
    except (requests.ConnectionError, requests.exceptions.ChunkedEncodingError) as error:
        raise TransientSourceError(f"the connection failed ({type(error).__name__})") from error
    except requests.exceptions.ContentDecodingError as error:
        raise SourceError(
            f"{redact_url(url)}: the answer is not compressed as the server says. Check the server."
        ) from error
    except (requests.RequestException, HTTPError, ValueError) as error:
        # Not all that urllib3 and the standard library raise over an address is wrapped.
        raise SourceError(
            f"{redact_url(url)}: not a usable URL ({type(error).__name__}). "
            f"Check {limits.url_setting}."
        ) from error


@contextmanager
def _answer(url: str, limits: SourceLimits) -> Iterator[requests.Response]:
    import requests

    from wine_quality.sources.checked_connection import CheckedAdapter

    with requests.Session() as session:
        for scheme in ("http://", "https://"):
            session.mount(scheme, CheckedAdapter())
        with session.get(url, stream=True, timeout=limits.timeout_seconds) as answer:
            yield answer


def read_http(url: str, limits: SourceLimits, given_up: threading.Event) -> bytes:
    """All of the body, unpacked when it is compressed.

    Raises:
        SourceError, TransientSourceError: see ``_get``.
    """
    pieces, size = [], 0
    with _get(url, limits) as answer:
        for piece in answer.iter_content(_CHUNK):
            size += len(piece)
            if size > limits.max_bytes:
                raise too_large(url, limits)
            if given_up.is_set():
                break
            pieces.append(piece)
    return b"".join(pieces)


def head_http(url: str, limits: SourceLimits) -> tuple[float, str, str]:
    """Time (Unix seconds) at which the file behind a URL was seen, its URL and its version.

    Not the time of its last change: a publisher may put an older file in the place of a newer one.

    Raises:
        SourceError: as ``read_http``, and where the server sends neither ETag nor Last-Modified.
        TransientSourceError: as ``read_http``.
    """
    # Some servers answer HEAD with less than GET, or not at all; no body is read here.
    with _get(url, limits) as answer:
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
    if not version:
        raise SourceError(
            f"{redact_url(url)} cannot be watched: the server sends neither ETag nor Last-Modified."
        )
    return time.time(), url, version
