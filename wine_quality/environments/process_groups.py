"""Groups of processes: whether one is at work, signal it, end it; and a process that ends with its
parent. Linux.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wine_quality.settings.internal import PARENT_PID

_POLL_SECONDS = 0.02
_PARENT_DEATH_SIGNAL = 1  # prctl's


def end_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends (Linux only).

    Whoever starts it gives it ``parent_variable``: it may have ended before the call.
    """
    if not sys.platform.startswith("linux"):
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(_PARENT_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != int(PARENT_PID.read() or os.getppid()):
        os.kill(os.getpid(), signal.SIGKILL)


def parent_variable() -> dict[str, str]:
    """By which a process that this one starts knows it, for ``end_with_parent``."""
    return {str(PARENT_PID): str(os.getpid())}


def live_stat(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on: state, parent, group, …; empty when the
    process has ended, a zombie too."""
    try:
        # The name before them, in brackets, may hold anything.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
    except OSError:
        return []
    return [] if fields[0] in "ZX" else fields


def group_lives(group: int) -> bool:
    """Whether a process group has a member that is not a zombie."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    return any(fields[2:3] == [str(group)] for fields in map(live_stat, pids))


def signal_group(group: int, number: signal.Signals) -> None:
    """Send a signal to all of a group, if it is still there."""
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def end_group(leader: subprocess.Popen[bytes], grace_seconds: float) -> None:
    """Ask a group to end, kill what is left after the grace, and return when none is at work.

    The group is waited for and not the leader alone: a child may end later than its leader.
    """
    for number in (signal.SIGTERM, signal.SIGKILL):
        signal_group(leader.pid, number)
        deadline = time.monotonic() + grace_seconds
        while time.monotonic() < deadline:
            leader.poll()
            if not group_lives(leader.pid):
                return
            time.sleep(_POLL_SECONDS)
