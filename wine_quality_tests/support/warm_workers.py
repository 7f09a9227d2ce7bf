"""The executor's processes of other MLflow versions, forked in tests from a warm process.

``wine_quality.execution.worker`` imports Dagster and another MLflow anew for each run: 3 to 5 s of
CPU. With ``install``, such a process is a small one (``stand_in``) that has a warm process of the
same Python fork itself, hands it what it was started with, and ends as the fork does. The fork runs
the worker's own code. It is for tests of what runs do: how the executor starts, kills and
interrupts processes is tested on processes without it.

Standard library only, as each version's Python runs this.
"""

from __future__ import annotations

import ctypes
import fcntl
import gc
import hashlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

WORKER = "wine_quality.execution.worker"
PROJECT = Path(__file__).parents[2]
_DEATH_SIGNAL = 1  # prctl's
_FIRST_FREE = 200
"""Descriptors are kept here while those that a worker expects are filled."""


def install(folder: Path, owner: int) -> None:
    """Have this process start its workers so.

    Args:
        folder: For the sockets of warm processes, which are started when first asked for.
        owner: The process with which they end.
    """

    class Popen(subprocess.Popen):
        def __init__(self, args: Any, **options: Any) -> None:
            if isinstance(args, list) and args[1:3] == ["-m", WORKER]:
                numbers = ",".join(map(str, options.get("pass_fds", ())))
                given = [str(folder), str(owner), numbers, *args]
                args = [sys.executable, "-I", "-S", __file__, *given]
            super().__init__(args, **options)

    subprocess.Popen = Popen  # type: ignore[misc]


def _die_with_parent() -> None:
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)


# The stand-in: what the executor sees as its process.


def stand_in(folder: str, owner: str, numbers: str, python: str, *arguments: str) -> int:
    """Have the worker forked, pass signals on to it, and return its exit code."""
    _die_with_parent()
    passed = [0, 1, 2, *map(int, filter(None, numbers.split(",")))]
    asked = {
        "arguments": arguments[2:],
        "environment": dict(os.environ),
        "folder": os.getcwd(),
        "numbers": passed,
    }
    with _connected(Path(folder), int(owner), python) as connection:
        text = json.dumps(asked).encode() + b"\n"
        sent = socket.send_fds(connection, [text], passed)
        connection.sendall(text[sent:])
        answers = connection.makefile()
        pid = int(answers.readline())
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGABRT):
            signal.signal(number, lambda which, _: os.kill(pid, which))
        for number in passed:
            os.close(number)
        return int(answers.readline())


def _connected(folder: Path, owner: int, python: str) -> socket.socket:
    """To the warm process of this Python, which is started when there is none."""
    path = folder / hashlib.sha256(python.encode()).hexdigest()[:12]
    connection = socket.socket(socket.AF_UNIX)
    with open(f"{path}.lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with suppress(OSError):
            connection.connect(str(path))
            return connection
        with open(f"{path}.log", "w") as log:
            process = subprocess.Popen(
                [python, "-m", "wine_quality_tests.support.warm_workers", str(path), str(owner)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env={**os.environ, "PYTHONPATH": str(PROJECT)},
                start_new_session=True,
            )
        while process.poll() is None:
            with suppress(OSError):
                connection.connect(str(path))
                return connection
            time.sleep(0.02)
    raise RuntimeError(f"{python} did not start: {Path(f'{path}.log').read_text()}")


def _end_as(code: int) -> None:
    if code < 0:
        with suppress(OSError):  # nobody handles SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


# The warm process of one Python.


def serve(path: str, owner: int) -> dict[str, Any] | None:
    """Fork for each stand-in that connects; returns in the fork what it asked, else at the end."""
    from wine_quality_tests.support.warm_commands import import_libraries

    import_libraries()
    gc.collect()
    gc.freeze()
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    ending = os.pidfd_open(owner)
    workers: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            ready = select.select([listener, woken, ending, *workers.values()], [], [])[0]
            if ending in ready:
                return None
            if woken in ready:
                woken.recv(4096)
            _see_ends(workers, ready)
            if listener not in ready:
                continue
            connection, _ = listener.accept()
            asked = _read(connection)
            pid = os.fork()
            if pid == 0:
                for other in (woken, waker, listener, connection, *workers.values()):
                    other.close()
                os.close(ending)
                return asked
            workers[pid] = connection
            connection.sendall(b"%d\n" % pid)
            for number in asked["descriptors"]:
                os.close(number)


def _see_ends(workers: dict[int, socket.socket], ready: list[Any]) -> None:
    """A worker ends with its stand-in; a stand-in is told how its worker ended."""
    for pid, connection in list(workers.items()):
        if connection in ready:
            os.kill(pid, signal.SIGKILL)
        ended, status = os.waitpid(pid, os.WNOHANG if connection not in ready else 0)
        if ended:
            with suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            workers.pop(pid).close()


def _read(connection: socket.socket) -> dict[str, Any]:
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 16)
    while not text.endswith(b"\n"):
        text += connection.recv(1 << 16)
    return {**json.loads(text), "descriptors": descriptors}


def become(asked: dict[str, Any]) -> None:
    """Give this fork what the worker would have been started with."""
    _die_with_parent()
    os.setsid()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    kept = [fcntl.fcntl(number, fcntl.F_DUPFD, _FIRST_FREE) for number in asked["descriptors"]]
    for number, wanted in zip(kept, asked["numbers"], strict=True):
        os.dup2(number, wanted)
    for number in {*kept, *asked["descriptors"]} - {*asked["numbers"]}:
        os.close(number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    paths = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = [asked["folder"], *paths, *sys.path[1:]]
    sys.argv = [WORKER, *asked["arguments"]]
    from wine_quality.settings.internal import PARENT_PID

    os.environ[PARENT_PID] = str(os.getppid())


if __name__ == "__main__":
    if sys.flags.isolated:
        _end_as(stand_in(*sys.argv[1:]))
    asked_for = serve(sys.argv[1], int(sys.argv[2]))
    if asked_for is None:
        os._exit(0)
    become(asked_for)
    runpy.run_module(WORKER, run_name="__main__", alter_sys=True)
