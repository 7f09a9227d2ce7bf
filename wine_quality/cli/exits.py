"""How a command ends: exit codes, errors on stderr, and signals that end it as Ctrl-C does."""

from __future__ import annotations

import signal
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


def interrupt_on(*signals: signal.Signals) -> None:
    """Have these raise ``KeyboardInterrupt``, also SIGINT in a process that a shell has started in
    the background, where it is ignored."""
    for number in signals:
        signal.signal(number, _interrupt)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
