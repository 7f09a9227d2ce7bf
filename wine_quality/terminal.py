"""Streams that take every character on any terminal. Standard library only."""

from __future__ import annotations

import codecs
import io
import os
import sys

_PLAIN = {"…": "...", "–": "-", "·": "*", "±": "+-", "→": "->", "’": "'"}
_HANDLER = "wine_quality.plain"


def escape_unprintable() -> None:
    """Have this process and its children print characters that the terminal's encoding lacks as
    ``...``, ``-`` and the like, else as ``\\u00fc``, so that ``print`` never fails by them."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    if codecs.lookup(encoding).name != "utf-8" or "PYTHONIOENCODING" in os.environ:
        # They do not know the handler of this one.
        os.environ["PYTHONIOENCODING"] = f"{encoding}:backslashreplace"


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    shown = [
        _PLAIN.get(one) or one.encode("ascii", "backslashreplace").decode()
        for one in error.object[error.start : error.end]
    ]
    return "".join(shown), error.end
