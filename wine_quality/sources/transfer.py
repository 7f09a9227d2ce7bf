"""Limits on what is read from elsewhere: bytes, seconds and tries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

from wine_quality.escaping import ShownError
from wine_quality.sources.deadline import Background, GivenUpError
from wine_quality.sources.location import LocationError, parse_location, redacted

T = TypeVar("T")


class SourceError(ShownError):
    """The source cannot be read; the message names it and explains what to do."""


class TransientSourceError(ShownError):
    """A fault that may be gone at the next try."""


@dataclass(frozen=True)
class SourceLimits:
    """Sizes in bytes, times in seconds; ``attempts`` counts the first try too.

    ``timeout_seconds`` is for connecting and between bytes, ``total_seconds`` for everything,
    retries included, and ``retry_seconds`` the first pause, doubled each time. Errors name the
    fields that a person sets: ``total_setting`` of ``total_seconds``, ``size_setting`` of
    ``max_bytes``, ``url_setting`` of the address.
    """

    max_bytes: int = 256 * 1024 * 1024
    timeout_seconds: float = 10.0
    total_seconds: float = 120.0
    attempts: int = 3
    retry_seconds: float = 0.5
    total_setting: str = "raw_wine_csv's total_seconds"
    size_setting: str = "raw_wine_csv's max_megabytes"
    url_setting: str = "csv_url"


def split_url(url: str) -> SplitResult:
    """A URL or a path in its parts.

    Raises:
        SourceError: clients could read it differently (see ``sources.location``).
    """
    try:
        parse_location(url)
        return urlsplit(url)
    except LocationError as error:
        raise SourceError(str(error)) from error
    except ValueError as error:
        # Without the library's own message, which repeats a password.
        raise SourceError(
            f"{redact_url(url)} is not a usable URL. Check how its host and port are written."
        ) from error


def redact_url(url: str) -> str:
    """The URL as it may be shown: without user, password and query, and in printable characters."""
    return redacted(url)


def too_large(url: str, limits: SourceLimits) -> SourceError:
    return SourceError(
        f"{redact_url(url)} is larger than the limit of {limits.max_bytes / 2**20:g} MB "
        f"({limits.size_setting}). Raise the limit if this is the right file."
    )


def with_retries(
    read: Callable[[], T], url: str, limits: SourceLimits, say: Callable[[str], None]
) -> T:
    """Return the result of ``read``, which is called again after a ``TransientSourceError``."""
    for attempt in range(1, limits.attempts + 1):
        try:
            return read()
        except TransientSourceError as error:
            if attempt == limits.attempts:
                raise SourceError(
                    f"{redact_url(url)}: {error}, after {attempt} attempt(s). "
                    "Check the address and that the host is up."
                ) from error
            say(f"{redact_url(url)}: {error}; trying again ({attempt} of {limits.attempts})")
            time.sleep(limits.retry_seconds * 2 ** (attempt - 1))
    raise AssertionError("attempts is at least 1")


def within_deadline(read: Callable[[threading.Event], T], url: str, limits: SourceLimits) -> T:
    """Return the result of ``read``, if it comes within ``total_seconds``.

    The event that ``read`` gets is set when its result is not awaited any more.
    """
    try:
        return Background(read, "raw_wine_csv").result(limits.total_seconds)
    except GivenUpError:
        raise SourceError(
            f"{redact_url(url)} took longer than {limits.total_seconds:g} s in all "
            f"({limits.total_setting})."
        ) from None


def path_of(text: str) -> Path:
    """A path as a person writes it.

    Raises:
        SourceError: it begins with ``~`` and the name of an unknown user.
    """
    try:
        return Path(text).expanduser()
    except RuntimeError as error:
        raise SourceError(
            f"{text} begins with the home of a user who is not known here. Write the whole path."
        ) from error
