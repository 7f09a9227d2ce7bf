"""How much one request may hold; from the environment."""

from __future__ import annotations

import os

ROWS = "WINE_QUALITY_SERVE_MAX_ROWS"
BYTES = "WINE_QUALITY_SERVE_MAX_BYTES"
SECONDS = "WINE_QUALITY_SERVE_MAX_SECONDS"


def most_rows() -> int:
    """Most rows of a request; 100,000 by default."""
    return _positive(ROWS, 100_000)


def most_bytes() -> int:
    """Most bytes of a request's body, unpacked; 32 MiB by default."""
    return _positive(BYTES, 32 * 1024 * 1024)


def most_seconds() -> int:
    """Seconds in which a request over HTTP must have arrived; 60 by default."""
    return _positive(SECONDS, 60)


def _positive(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"${variable} is {text!r}; it must be a whole number above 0")
    return int(text)
