"""The log file for all that a command's processes and libraries print beside its own lines.

The terminal shows only the command's own lines; the file is named when the command fails.
"""

from __future__ import annotations

import logging
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from wine_quality.execution.plan_process import TERMINAL_FD, PlanProcess
from wine_quality.paths import home


@contextmanager
def terminal_log(command: str) -> Iterator[TerminalLog]:
    """While it is open, the child process of a run prints into the log."""
    log = TerminalLog(home() / "logs" / f"{command}-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}")
    try:
        yield log
    finally:
        log.close()


class TerminalLog:
    """A file that is left only when ``keep`` was called and something stands in it."""

    def __init__(self, path: Path) -> None:
        self.path = path.with_suffix(".log")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.path.touch()
        self._kept = False
        PlanProcess.output = self.path
        # It complains of connections that Ctrl-C has cut.
        self._handler = logging.FileHandler(self.path, delay=True, encoding="utf-8")
        logging.getLogger("sqlalchemy").addHandler(self._handler)

    def keep(self) -> str:
        """A line that names the file; empty when nothing was printed into it."""
        self._kept = bool(self.path.stat().st_size)
        return f"What else was printed: {self.path}" if self._kept else ""

    def close(self) -> None:
        PlanProcess.output = None
        logging.getLogger("sqlalchemy").removeHandler(self._handler)
        self._handler.close()
        if not self._kept:
            self.path.unlink(missing_ok=True)


def terminal() -> TextIO:
    """Standard error of the command, in its child process too."""
    given = TERMINAL_FD.read()
    if not given:
        return sys.stderr
    encoding, errors = sys.stderr.encoding, sys.stderr.errors
    return open(int(given), "w", buffering=1, encoding=encoding, errors=errors, closefd=False)
