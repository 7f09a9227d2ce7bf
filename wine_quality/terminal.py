"""Streams that take every character, whatever the terminal can show. Standard library only."""

from __future__ import annotations

import codecs
import io
import os
import sys

_PLAIN = {"…": "...", "–": "-", "·": "*", "±": "+-", "→": "->", "’": "'"}
_HANDLER = "wine_quality.plain"


def print_anything() -> None:
    """Have this process and those that it starts print what the terminal's encoding has no
    character for as ``...``, ``-`` and the like, else as ``\\u00fc``; no ``print`` fails by it."""
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
