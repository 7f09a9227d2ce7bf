"""Runs a command, and ends its whole process group when the tests' process dies.

``python -I -S session_guard.py COMMAND…``, as leader of a group. ``setpriv --pdeathsig`` ends one
process alone; the workers of a server that it has started would go on. Standard library only, and
by itself: it is to start quickly.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys

_DEATH_SIGNAL = 1  # prctl's
_OF_DEATH = signal.SIGUSR2
"""Sent by the kernel; what else is sent to the group is for the command."""


def main() -> int:
    tests = os.getppid()
    signal.signal(_OF_DEATH, lambda *_: os.killpg(0, signal.SIGKILL))
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, _OF_DEATH)
    if os.getppid() != tests:
        return 1  # they died before the call took effect
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    return subprocess.Popen(sys.argv[1:]).wait()


if __name__ == "__main__":
    # As a shell gives the end by a signal.
    code = main()
    sys.exit(code if code >= 0 else 128 - code)
