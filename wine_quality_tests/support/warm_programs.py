"""Programs that run until they are ended, Dagster's and MLflow's servers, forked in tests.

A daemon, a webserver, a code server and an MLflow server each import for 3 to 5 s of CPU before
they do anything. ``warm_forks`` has imported that already.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import BinaryIO

from wine_quality_tests.support import warm_commands, warm_workers


class WarmProgram:
    """``python ARGUMENTS`` as a fork, with what tests use of ``subprocess.Popen``.

    It leads a process group of its own, and is killed, with its group, when the tests end.

    Args:
        python: Of whichever version.
        arguments: ``-m MODULE …``.
        log: Its standard output and error.
    """

    def __init__(
        self,
        python: str | Path,
        *arguments: str,
        env: Mapping[str, str],
        cwd: Path,
        log: BinaryIO,
    ) -> None:
        self.args = [str(python), *arguments]
        self.returncode: int | None = None
        self._connection = warm_workers.connected(
            warm_commands.sockets(), warm_commands.owner(), str(python), env
        )
        with open(os.devnull, "rb") as nothing:
            files = {0: nothing.fileno(), 1: log.fileno(), 2: log.fileno()}
            warm_workers.ask(self._connection, arguments, env, str(cwd), files)
        self._answers = self._connection.makefile("rb", buffering=0)
        self.pid = int(self._answers.readline())

    def poll(self) -> int | None:
        """Its exit code, or minus the number of the signal that ended it; None while it runs."""
        return self._read_end(0)

    def wait(self, timeout: float | None = None) -> int:
        """As ``poll``, when it has ended.

        Raises:
            subprocess.TimeoutExpired: it runs after ``timeout`` seconds.
        """
        if (code := self._read_end(timeout)) is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _read_end(self, seconds: float | None) -> int | None:
        if self.returncode is None and select.select([self._connection], [], [], seconds)[0]:
            # Nothing, when the warm process is gone: it had its forks end with it.
            self.returncode = int(self._answers.readline() or -signal.SIGKILL)
            self._connection.close()
        return self.returncode
