"""The warm process of one Python: it has the libraries, and forks itself for each who connects.

``python -m wine_quality_tests.support.warm_forks SOCKET OWNER``, started by ``warm_workers``. Its
fork becomes ``python -m wine_quality…``, or ``-c``, as it would have been started, and ends like
it. It has imported the project, too, as long as that would be the same there
(``_forget_project``). Standard library only, as each version's Python runs it.
"""

from __future__ import annotations

import atexit
import ctypes
import faulthandler
import fcntl
import gc
import json
import os
import runpy
import select
import signal
import socket
import sys
import threading
import warnings
from contextlib import suppress
from importlib.machinery import PathFinder
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from wine_quality_tests.support import warm_workers

_DEATH_SIGNAL = 1  # prctl's
PARENT = "WINE_QUALITY_PARENT_PID"
_END_SECONDS = 60
"""After this an end that hangs says where, and is none."""
_FIRST_FREE = 200
"""Descriptors are kept here while those that a fork expects are filled."""


def serve(path: str, owner: int) -> dict[str, Any] | None:
    """Fork for each who connects; in the fork, return what was asked; at the end, None."""
    from wine_quality_tests.support import warm_commands

    warm_commands.import_libraries()
    variables = warm_commands.import_project()
    # What is there already is neither walked nor copied again.
    gc.collect()
    gc.freeze()
    # Until a fork runs its module: what is raised in hooks of the fork itself is ignored.
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    signal.signal(signal.SIGCHLD, lambda *_: None)
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.set_wakeup_fd(waker.fileno())
    ending = os.pidfd_open(owner)
    forks: dict[int, socket.socket] = {}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        while True:
            watched: list[Any] = [listener, woken, ending, *forks.values()]
            ready = select.select(watched, [], [])[0]
            if ending in ready:
                return None
            if woken in ready:
                woken.recv(4096)
            _see_ends(forks, ready)
            if listener not in ready:
                continue
            connection, _ = listener.accept()
            asked = _read(connection)
            if asked is None:
                connection.close()
                continue
            pid = os.fork()
            if pid == 0:
                for other in (woken, waker, listener, connection, *forks.values()):
                    other.close()
                os.close(ending)
                return {**asked, "read": variables}
            forks[pid] = connection
            with suppress(OSError):
                connection.sendall(b"%d\n" % pid)
            for number in asked["descriptors"]:
                os.close(number)


def _see_ends(forks: dict[int, socket.socket], ready: list[Any]) -> None:
    """A fork ends with whom it was made for, who is told how it ended."""
    for pid, connection in list(forks.items()):
        if connection in ready:
            _kill(pid)
        ended, status = os.waitpid(pid, os.WNOHANG if connection not in ready else 0)
        if ended:
            with suppress(OSError):
                connection.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))
            forks.pop(pid).close()


def _kill(pid: int) -> None:
    """A fork and its group; one that has just been made leads none yet."""
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
        return
    os.kill(pid, signal.SIGKILL)


def _read(connection: socket.socket) -> dict[str, Any] | None:
    """None of one that ended before it asked."""
    text, descriptors, _, _ = socket.recv_fds(connection, 1 << 16, 16)
    while not text.endswith(b"\n"):
        more = connection.recv(1 << 16)
        if not more:
            return None
        text += more
    return {**json.loads(text), "descriptors": descriptors}


def become(asked: dict[str, Any], warm: int) -> None:
    """Give this fork of ``warm`` what the process would have been started with."""
    ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    if os.getppid() != warm:
        os._exit(1)
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
    _open_streams()
    _show([sys.executable, *asked["arguments"]], asked["environment"])
    if os.environ.get("PYTHONFAULTHANDLER"):
        faulthandler.enable()
    paths = [*filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    sys.path[:] = [asked["folder"], *paths, *sys.path[1:]]
    if PARENT in os.environ:
        os.environ[PARENT] = str(warm)
    _forget_project(asked["read"])
    # As any Python begins, but for site-packages' own.
    for path in paths:
        if os.path.exists(customization := os.path.join(path, "sitecustomize.py")):
            runpy.run_path(customization, run_name="sitecustomize")


def _open_streams() -> None:
    """Those of the warm process know its own files, which can be sought in, unlike a pipe."""
    encoding, _, errors = os.environ.get("PYTHONIOENCODING", "").partition(":")
    at_once = "PYTHONUNBUFFERED" in os.environ or os.isatty(1)
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        stream = open(  # noqa: SIM115 - it stays open
            number,
            mode,
            buffering=1 if number == 2 or (number == 1 and at_once) else -1,
            encoding=encoding or getattr(sys, name).encoding,
            errors=errors or getattr(sys, name).errors,
            closefd=False,
        )
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def _forget_project(read: dict[str, str | None]) -> None:
    """Have the project imported anew where it would be another.

    Args:
        read: The variables that were read when it was imported, with their values then.
    """
    found = PathFinder.find_spec("wine_quality")
    mine = sys.modules.get("wine_quality")
    is_mine = found is not None and mine is not None and found.origin == mine.__file__
    if not is_mine or any(os.environ.get(name) != value for name, value in read.items()):
        _forget("wine_quality")


def _forget(package: str) -> None:
    for name in [name for name in sys.modules if f"{name}.".startswith(f"{package}.")]:
        parent, _, attribute = name.rpartition(".")
        vars(sys.modules.get(parent, sys)).pop(attribute, None)
        del sys.modules[name]


def _show(arguments: list[str], environment: dict[str, str]) -> None:
    """Have /proc and ps show these: the kernel reads them from where it once put a process's own.

    What has no room there is cut off.
    """
    fields = Path("/proc/self/stat").read_text().rpartition(") ")[2].split()
    first_argument, last_argument, first_variable, last_variable = map(int, fields[45:49])
    variables = [f"{name}={text}" for name, text in environment.items()]
    for texts, start, end in (
        (arguments, first_argument, last_argument),
        (variables, first_variable, last_variable),
    ):
        shown = os.fsencode("\0".join(texts))[: end - start - 1]
        ctypes.memmove(start, shown.ljust(end - start, b"\0"), end - start)


def run(arguments: list[str]) -> NoReturn:
    """As ``python ARGUMENTS`` runs and ends, but without the half second of CPU in which the
    interpreter clears its modules."""
    quiet, option, (what, *rest) = warm_workers.split(arguments)
    if quiet:
        warnings.simplefilter("ignore")
    sys.argv = [option, *rest]
    code = 0
    try:
        try:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
            if what in warm_workers.SERVERS:
                # MLflow's app looks at the server's variables when it is made.
                _forget("mlflow.server")
            if option == "-m":
                # Run, it is not the module that others have imported.
                sys.modules.pop(what if what != "wine_quality" else "wine_quality.__main__", None)
                runpy.run_module(what, run_name="__main__", alter_sys=True)
            else:
                exec(compile(what, "<string>", "exec"), vars(_main_module()))
        finally:
            # Another interrupt, while it ends, would have it end by half, or not at all.
            signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            faulthandler.dump_traceback_later(_END_SECONDS, exit=True)
    except SystemExit as end:
        if isinstance(end.code, str):
            print(end.code, file=sys.stderr)
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException as error:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        sys.excepthook(type(error), error, error.__traceback__)
        code = -signal.SIGINT if isinstance(error, KeyboardInterrupt) else 1
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError):
            stream.flush()
    warm_workers.end_as(code)


def _main_module() -> ModuleType:
    """An empty ``__main__``."""
    sys.modules["__main__"] = ModuleType("__main__")
    return sys.modules["__main__"]


if __name__ == "__main__":
    warm_process, socket_path = os.getpid(), sys.argv[1]
    asked_for = serve(socket_path, int(sys.argv[2]))
    if asked_for is None:
        # The tests have ended: with no second walk over all that was imported.
        os._exit(0)
    become(asked_for, warm_process)
    warm_workers.install(Path(socket_path).parent, int(sys.argv[2]))
    run(asked_for["arguments"])
