"""The warm process of one MLflow version: it has the libraries, and forks a child for each run.

``python -m wine_quality.execution.warm_server`` reads its settings from standard input (see
``WarmServers``). It has one thread and holds no connection, so that what it forks is as good as
a new process: no lock can be held by a thread that is not there, no connection is used by two.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_quality.execution import messages, startup
from wine_quality.execution.memory import proportional_memory
from wine_quality.execution.messages import ConnectionEndedError
from wine_quality.execution.worker_process import WorkerProcess

_TICK_SECONDS = 1.0
_REQUEST_SECONDS = 10.0
# A process over the memory limit stays this long after its last use: versions may take turns.
_LINGER_SECONDS = 30.0


@dataclass
class Job:
    """The task of a forked child: execute a run, or report how one ended (``exit_code``)."""

    run_id: str
    instance: str
    connection: socket.socket | None = None
    descriptors: tuple[int, ...] = ()
    exit_code: int = 0


class WarmServer:
    """Listens, forks, and sees how the children end.

    Args:
        socket_path: Where it listens.
        state: Of the code and the environment that it started with (``code_state``).
        owner: The process that started it, later the last launcher; it ends when that is gone.
        idle_seconds: It ends when nothing was launched for so long.
        memory: MiB that warm processes of this folder may keep together; the one used last stays
            until it is idle, whatever it keeps.
    """

    def __init__(
        self, socket_path: Path, state: str, owner: WorkerProcess, idle_seconds: float, memory: int
    ) -> None:
        self._path, self._state, self._owner = socket_path, state, owner
        self._idle_seconds, self._memory = idle_seconds, memory
        self._children: dict[int, Job] = {}
        self._used = time.monotonic()
        self._looked = self._used
        self._woken, waker = socket.socketpair()
        for end in (self._woken, waker):
            end.setblocking(False)
        self._waker = waker
        signal.set_wakeup_fd(waker.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._end_soon)
        self._is_to_end = False
        self._listener: socket.socket | None = messages.listen(socket_path)
        self._inode = socket_path.stat().st_ino

    def serve(self) -> Job | None:
        """Returns in each forked child with its job, and in the server, at its end, with None."""
        while self._listener is not None or self._children:
            waiting = [self._woken, *([self._listener] if self._listener else [])]
            ready, _, _ = select.select(waiting, [], [], _TICK_SECONDS)
            job = None
            if self._woken in ready:
                self._woken.recv(4096)
                job = self._reap()
            if job is None and self._listener is not None and self._listener in ready:
                job = self._answer()
            if job is not None:
                return job
            self._tick()
        return None

    def _end_soon(self, *_: object) -> None:
        self._is_to_end = True

    def _answer(self) -> Job | None:
        """Take one request; the job in the child that it was for."""
        assert self._listener is not None
        connection, _ = self._listener.accept()
        with connection:
            connection.settimeout(_REQUEST_SECONDS)
            try:
                launcher, user = messages.peer(connection)
                request, descriptors = messages.receive(connection)
            except (ConnectionEndedError, OSError):
                return None  # a client that only checked whether the socket answers
            job = None
            try:
                if user == os.getuid():
                    job = self._serve(connection, request, tuple(descriptors), launcher)
            except (ConnectionEndedError, KeyError, OSError) as error:
                print(f"a request was not served: {error!r}", flush=True)
            finally:
                if job is None:
                    for descriptor in descriptors:
                        os.close(descriptor)
            return job

    def _serve(
        self,
        connection: socket.socket,
        request: dict[str, Any],
        descriptors: tuple[int, ...],
        launcher: int,
    ) -> Job | None:
        if request["state"] != self._state:
            # Gone before the answer: the launcher may start the next at once.
            self._retire()
            messages.send(connection, {"stale": True})
            return None
        threads = len(os.listdir("/proc/self/task"))
        if threads > 1:
            reason = f"it has {threads} threads, and a fork would copy one"
            messages.send(connection, {"refused": reason})
            return None
        self._used = time.monotonic()
        self._owner = WorkerProcess.of(launcher) or self._owner
        os.utime(self._path)
        job = Job(request["run"], request["instance"], None, descriptors)
        if not self._fork(job):
            return None
        # The caller closes the descriptor that it knows of.
        job.connection = connection.dup()
        job.connection.settimeout(None)
        return job

    def _fork(self, job: Job) -> bool:
        """Whether this is the child."""
        sys.stdout.flush()
        sys.stderr.flush()
        pid = os.fork()
        if pid:
            self._children[pid] = job
            return False
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for end in (self._woken, self._waker, self._listener):
            if end is not None:
                end.close()
        self._children.clear()
        return True

    def _reap(self) -> Job | None:
        """See which children have ended; the job in a child that reports of one that crashed."""
        while self._children:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return None
            job = self._children.pop(pid, None)
            code = os.waitstatus_to_exitcode(status)
            # Those that report have a code.
            if job is None or code == 0 or job.exit_code:
                continue
            report = Job(job.run_id, job.instance, exit_code=code)
            if self._fork(report):
                # What else has ended, the server sees to.
                return report
        return None

    def _tick(self) -> None:
        """End when this process is of no more use."""
        if self._is_to_end:
            self._retire()
        if self._listener is None or self._children:
            return
        idle = time.monotonic() - self._used
        if idle > self._idle_seconds or not self._owner.is_running():
            self._retire()
        elif idle > _LINGER_SECONDS and time.monotonic() - self._looked > _LINGER_SECONDS / 3:
            self._looked = time.monotonic()
            if has_no_room(self._path, self._memory * 1024 * 1024):
                self._retire()

    def _retire(self) -> None:
        """Take no more requests; the process ends with the last of its children."""
        if self._listener is None:
            return
        with lock_of(self._path).open("w") as guard:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                # Somebody may have started another in its place.
                if self._path.stat().st_ino == self._inode:
                    self._path.unlink()
            except OSError:
                pass  # the process that holds the lock is just starting the next one
        self._listener.close()
        self._listener = None


def has_no_room(socket_path: Path, limit: int) -> bool:
    """Whether this process and those used since keep more than ``limit`` bytes together.

    The one used last stays, however large its libraries are.
    """
    mine = socket_path.stat().st_mtime
    newer = [
        pid
        for path in socket_path.parent.glob("*.sock")
        if path != socket_path and path.stat().st_mtime > mine
        if (pid := pid_of(path)) is not None
    ]
    return bool(newer) and sum(map(proportional_memory, [os.getpid(), *newer])) > limit


def lock_of(socket_path: Path) -> Path:
    """The lock file held while a warm process is started or removed."""
    return socket_path.with_suffix(".lock")


def pid_of(socket_path: Path) -> int | None:
    """The process that listens there."""
    try:
        with messages.connect(socket_path, 1.0) as connection:
            return messages.peer(connection)[0]
    except OSError:
        return None


def main() -> None:
    settings = json.loads(sys.stdin.readline())
    from wine_quality.execution import warm_imports

    warm_imports.load()
    # What was set for this process alone is not the environment of runs.
    for name, value in settings["restore"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    server = WarmServer(
        Path(settings["socket"]),
        settings["state"],
        WorkerProcess(**settings["owner"]),
        settings["idle_seconds"],
        settings["memory"],
    )
    job = server.serve()
    if job is None:
        startup.end()
        return
    # A child: the run has nothing to do with what stands above.
    del server, settings
    from wine_quality.execution.run_process import begin

    begin(job)


if __name__ == "__main__":
    gc.set_threshold(2_000_000, 20, 100)
    main()
