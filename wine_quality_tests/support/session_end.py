"""Ends whatever the tests have started when their own process ends, however it does.

``dying_with_us`` has the kernel end one process, not those that it starts: the workers of an MLflow
server outlived tests that were killed. Each process here inherits a variable with the number of the
tests' own, by which a watcher finds them. Linux only.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

MARK = "WINE_QUALITY_TESTS_OF"
_ROUNDS = 20
"""What is ended may just be starting something else."""


def watch(owner: int) -> subprocess.Popen[bytes]:
    """Mark this process's children to come, and start the watcher of the owner."""
    unmarked = {name: value for name, value in os.environ.items() if name != MARK}
    os.environ[MARK] = str(owner)
    return subprocess.Popen(
        [sys.executable, "-I", "-S", __file__, str(owner)],
        stdin=subprocess.DEVNULL,
        env=unmarked,
        # What ends the tests' process group does not end it.
        start_new_session=True,
    )


def marked(owner: int) -> list[int]:
    """The processes that were started for the tests of this process."""
    mark, found = f"{MARK}={owner}".encode(), []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            if mark in (entry / "environ").read_bytes().split(b"\0"):
                found.append(int(entry.name))
    return found


def end_all(owner: int) -> None:
    for _ in range(_ROUNDS):
        left = [pid for pid in marked(owner) if pid != owner]
        if not left:
            return
        for pid in left:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


def main(owner: int) -> None:
    with suppress(ProcessLookupError):
        select.select([os.pidfd_open(owner)], [], [])
    end_all(owner)


if __name__ == "__main__":
    main(int(sys.argv[1]))
