"""Permitted outcomes of an input."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from wine_quality.engines.batches import UnreadableFileError
from wine_quality.engines.broken_rules import BrokenFilesError
from wine_quality.history.wine_history import HistoryError, WineHistory
from wine_quality.sources.transfer import SourceError
from wine_quality.wines.loading import WinesRefusedError

OURS = (WinesRefusedError, SourceError, HistoryError, UnreadableFileError, BrokenFilesError)
LONGEST = 10_000
"""A file may have a long name, and a message may name it twice."""


class Target(NamedTuple):
    """One kind of input.

    Attributes:
        strategy: Of hypothesis.
        check: Gets an example and an empty folder; returns what it came to, in a word, and raises
            AssertionError, or whatever the product let through, when it is a finding.
        examples: In the test suite.
    """

    strategy: Any
    check: Callable[[Any, Path], str]
    examples: int


def require_clear(error: BaseException, *named: str) -> None:
    """One of ours, of bounded length, that names what is wrong."""
    message = str(error)
    message.encode()  # logs, tags and the event log are UTF-8
    assert 10 <= len(message) <= LONGEST, f"{len(message)} characters: {message[:200]}"
    assert "Traceback (most" not in message and " object at 0x" not in message, message
    for word in named:
        assert word in message, f"{word!r} is not named: {message[:500]}"


def kept(history: WineHistory) -> int:
    """Files that the history holds; it is emptied."""
    folder = Path(history.base)
    found = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    shutil.rmtree(folder, ignore_errors=True)
    return len(found)


def require_nothing_kept(history: WineHistory) -> None:
    count = kept(history)
    assert count == 0, f"{count} file(s) accepted of what was refused"
