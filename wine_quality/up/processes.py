"""The processes of `make up`, each a group of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from wine_quality.environments.process_groups import signal_group
from wine_quality.paths import PROJECT_ROOT

GRACE_SECONDS = 15.0
_POLL_SECONDS = 0.05


class Process:
    """A running program.

    Args:
        log: Where its output goes; None: to the terminal.
        pass_fds: Sockets that it inherits.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        variables: Mapping[str, str],
        log: Path | None = None,
        pass_fds: Sequence[int] = (),
    ) -> None:
        self.name, self.log = name, log
        output = log.open("ab") if log else None
        try:
            self._process = subprocess.Popen(
                command,
                env=dict(variables),
                cwd=PROJECT_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
                pass_fds=pass_fds,
            )
        finally:
            if output:
                output.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def describe_exit(self) -> str:
        code = self._process.poll()
        if code is None:
            return "runs"
        return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"exited with {code}"

    def last_lines(self) -> str:
        """The end of its log."""
        return self.log.read_text(errors="replace").strip()[-1000:] if self.log else ""


async def stop(processes: Iterable[Process]) -> None:
    """Interrupt their groups, and kill what is left after ``GRACE_SECONDS``."""
    left = list(processes)
    for process in left:
        signal_group(process.pid, signal.SIGINT)
    deadline = asyncio.get_running_loop().time() + GRACE_SECONDS
    while not all(process.has_ended() for process in left):
        if asyncio.get_running_loop().time() > deadline:
            break
        await asyncio.sleep(_POLL_SECONDS)
    for process in left:
        # The group may hold workers that outlive their parent.
        signal_group(process.pid, signal.SIGKILL)
    while not all(process.has_ended() for process in left):
        await asyncio.sleep(_POLL_SECONDS)


def python(*arguments: str) -> list[str]:
    """The command of this interpreter, its warnings as this process has them."""
    return [sys.executable, *(f"-W{option}" for option in sys.warnoptions), *arguments]


def environment(**variables: str) -> dict[str, str]:
    return {**os.environ, **variables}
