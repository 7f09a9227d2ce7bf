"""How a command ends: exit codes, errors on stderr, and signals that end it as Ctrl-C does."""

from __future__ import annotations

import signal
import sqlite3
import sys
from typing import NoReturn

FAILED, BAD_USE, INTERRUPTED = 1, 2, 130


def fail(reason: object, code: int = FAILED) -> int:
    """Print the reason on stderr; returns the exit code."""
    print(f"error: {reason}", file=sys.stderr)
    return code


def show(line: str) -> None:
    """Print a line of progress at once, also into a pipe."""
    print(line, flush=True)


def is_of_a_store(error: Exception) -> bool:
    """Whether the disk, a database or the S3 store failed, such as a full disk, which each reports
    in errors of its own."""
    return isinstance(error, (OSError, sqlite3.Error)) or any(
        base.__module__.partition(".")[0] in ("psycopg2", "botocore")
        for base in type(error).__mro__
    )


def interrupt_on(*signals: signal.Signals) -> None:
    """Have these raise ``KeyboardInterrupt``, also SIGINT in a process that a shell has started in
    the background, where it is ignored."""
    for number in signals:
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
