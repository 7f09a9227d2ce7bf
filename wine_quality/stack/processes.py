"""Start and stop processes so that nothing outlives the stack. Linux."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from pathlib import Path

from wine_quality.environments.process_groups import live_stat, signal_group
from wine_quality.stack.service import Service

GRACE_SECONDS = 15.0
"""Seconds for a service to end before it is killed."""


def start(service: Service, log: Path) -> subprocess.Popen[bytes]:
    """Start it as the leader of a process group of its own, its output appended to ``log``."""
    uid, gid = service.user or (None, None)
    with log.open("ab") as output:
        return subprocess.Popen(
            service.command,
            env=dict(service.variables),
            cwd=service.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=uid,
            group=gid,
            extra_groups=None if uid is None else [],
            # After the change of user, which would clear it.
            preexec_fn=_DieWithParent(service.stop_signal),
        )


class _DieWithParent:
    """Between fork and exec: have the kernel end the process with the one that watches it."""

    _libc = ctypes.CDLL(None, use_errno=True)  # loaded before the fork

    def __init__(self, number: signal.Signals) -> None:
        self._number = number

    def __call__(self) -> None:
        pr_set_pdeathsig = 1
        self._libc.prctl(pr_set_pdeathsig, self._number)
        # A shell that started us in the background had these ignored; children inherit that.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)


def stop_groups(groups: Iterable[tuple[int, signal.Signals]]) -> None:
    """Ask groups to end, each with its signal, and kill what is left after ``GRACE_SECONDS``.

    The leader alone gets the signal first: PostgreSQL and gunicorn end their own children.
    """
    waiting = list(groups)
    for leader, number in waiting:
        try:
            os.kill(leader, number)
        except ProcessLookupError:
            pass
    deadline = time.monotonic() + GRACE_SECONDS
    while waiting and time.monotonic() < deadline:
        for leader, number in [pair for pair in waiting if not live_stat(pair[0])]:
            # What outlives its leader has nobody to wait for.
            signal_group(leader, signal.SIGKILL)
            waiting.remove((leader, number))
        time.sleep(0.05)
    for leader, _ in waiting:
        signal_group(leader, signal.SIGKILL)
