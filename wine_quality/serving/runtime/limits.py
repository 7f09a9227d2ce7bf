"""How much one request may hold; from the environment."""

from __future__ import annotations

import os

ROWS = "WINE_QUALITY_SERVE_MAX_ROWS"
BYTES = "WINE_QUALITY_SERVE_MAX_BYTES"
SECONDS = "WINE_QUALITY_SERVE_MAX_SECONDS"


def most_rows() -> int:
    """Rows of a request; 100,000 unless told."""
    return _positive(ROWS, 100_000)


def most_bytes() -> int:
    """Bytes of a request's body, unpacked; 32 MiB unless told."""
    return _positive(BYTES, 32 * 1024 * 1024)


def most_seconds() -> int:
    """In which a request over HTTP must have arrived; 60 unless told."""
    return _positive(SECONDS, 60)


def _positive(variable: str, default: int) -> int:
    text = os.environ.get(variable, "").strip()
    if not text:
        return default
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"${variable} is {text!r}; it must be a whole number above 0")
    return int(text)
