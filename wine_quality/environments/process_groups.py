"""Groups of processes: whether one is at work, signal it, end it. Linux."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

_POLL_SECONDS = 0.02


def group_lives(group: int) -> bool:
    """Whether a process group has a member that is not a zombie."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            # The name, in brackets, may hold anything; the state and three numbers follow it.
            state, _, member_of = (entry / "stat").read_text().rpartition(") ")[2].split()[:3]
        except OSError:
            continue
        if int(member_of) == group and state not in "ZX":
            return True
    return False


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
