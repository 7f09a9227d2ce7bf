"""``python -m wine_quality…`` of any MLflow version, forked in tests from a warm process.

``wine_quality.execution.worker`` imports Dagster and another MLflow anew for each run: 3 to 5 s of
CPU. With ``install``, such a process is a small one (``stand_in``) that has a warm process of the
same Python fork itself (``warm_forks``), hands it what it was started with, and ends as the fork
does. The fork runs the module's own code. It is for tests of what runs and commands do: how
processes are started, killed and interrupted is tested without it.

Standard library only, and by itself: the stand-in runs it with no ``sys.path``.
"""

from __future__ import annotations

import ctypes
import fcntl
import hashlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NoReturn

WORKER = "wine_quality.execution.worker"
COMMANDS = {"wine_quality"}
"""As which a command begins again in another version's environment."""
STARTED = {
    WORKER,
    "dagster",
    "dagster._daemon",
    "wine_quality.comparison.read_runs",
    "wine_quality.metrics_history.backfill",
    "wine_quality.moves.worker",
    "wine_quality.tracking.servers.embedded_store",
    "wine_quality.tracking.runs.close_run",
    "wine_quality.upgrades.probe",
    "wine_quality.webserver",
}
"""What commands start: in another version's environment, or the programs of `make up`."""
OUTLIVING = {"wine_quality.execution.warm_server", "wine_quality_runtime.server"}
"""They outlive the process, or the thread, that started them."""
SERVERS = {"gunicorn", "uvicorn"}
"""What ``mlflow server`` starts, by its own Python or by its name."""
MLFLOW = "from mlflow.cli import cli; cli()"
PROJECT = Path(__file__).parents[2]
_OF_TESTS = ("AWS_", "DAGSTER_", "MLFLOW_", "WINE_QUALITY_")
"""Variables of one test, which the warm process of all does not get."""
_OF_ALL_TESTS = "WINE_QUALITY_ENVIRONMENTS"
_DEATH_SIGNAL = 1  # prctl's
_PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGABRT)
_ROOM = 16_384


def split(arguments: Sequence[str]) -> tuple[bool, str, list[str]]:
    """Of ``-W ignore -m MODULE …``: whether there is a ``-W ignore``, ``-m`` or ``-c``, and the
    module or code with its arguments; nothing of any others."""
    quiet = list(arguments[:2]) == ["-W", "ignore"]
    left = list(arguments[2:] if quiet else arguments)
    if len(left) > 1 and left[0] in ("-m", "-c"):
        return quiet, left[0], left[1:]
    return False, "", []


def runs(arguments: Any, modules: set[str]) -> bool:
    """Whether a command, with its Python, runs one of the modules."""
    if not isinstance(arguments, list):
        return False
    _, option, rest = split(arguments[1:])
    return option == "-m" and rest[0] in modules


def by_python(command: list[str]) -> list[str]:
    """The command with the Python that runs a program of its environment, where it is of these."""
    if command[0] in SERVERS:
        return [sys.executable, "-m", *command]
    program = Path(command[0])
    if command[1:2] == ["server"] and program.name == "mlflow":
        # MLflow 1.26 has no ``python -m mlflow``.
        return [str(program.with_name("python")), "-c", MLFLOW, *command[1:]]
    return command


def runs_code(arguments: Any) -> bool:
    """Whether a command runs code of the project, or MLflow's command."""
    if not isinstance(arguments, list):
        return False
    _, option, rest = split(arguments[1:])
    return option == "-c" and rest[0].startswith(("from wine_quality.", MLFLOW))


def install(folder: Path, owner: int) -> None:
    """Have this process start such processes so, and become them.

    Args:
        folder: For the sockets of warm processes, which are started when first asked for.
        owner: The process with which they end.
    """

    class Popen(subprocess.Popen):
        def __init__(self, args: Any, **options: Any) -> None:
            if isinstance(args, list):
                args = by_python(args)
            if runs(args, STARTED | SERVERS | OUTLIVING) or runs_code(args):
                args = stand_in_of(args, folder, owner, options.get("pass_fds", ()))
            super().__init__(args, **options)

    def execve(path: Any, args: Any, env: Any) -> NoReturn:
        if runs(args, COMMANDS):
            path, args = sys.executable, stand_in_of(args, folder, owner)
        replace(path, args, env)

    replace = os.execve
    subprocess.Popen = Popen  # type: ignore[misc, assignment]
    os.execve = execve  # type: ignore[assignment]


def stand_in_of(
    command: list[str], folder: Path, owner: int, numbers: Sequence[int] = ()
) -> list[str]:
    """The command of a small process that has this one forked, and ends as it does.

    Args:
        command: A Python and its arguments, ``-m`` or ``-c`` among them.
        folder, owner: See ``install``.
        numbers: Descriptors that it is to have, besides 0 to 2.
    """
    given = [str(folder), str(owner), ",".join(map(str, numbers)), *command]
    return [sys.executable, "-I", "-S", __file__, *given]


def stand_in(folder: str, owner: str, numbers: str, python: str, *arguments: str) -> int:
    """The process as others see it: has it forked, passes signals on, returns its exit code."""
    if not runs([python, *arguments], OUTLIVING):
        ctypes.CDLL(None, use_errno=True).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    passed = [0, 1, 2, *map(int, filter(None, numbers.split(",")))]
    environment = dict(os.environ)
    try:
        connection = connected(Path(folder), int(owner), python, environment)
    except RuntimeError:  # a broken Python ends in its own way
        os.execv(python, [python, *arguments])
    woken, waker = socket.socketpair()
    waker.setblocking(False)
    signal.pthread_sigmask(signal.SIG_BLOCK, _PASSED_ON)
    with connection:
        ask(connection, arguments, environment, os.getcwd(), dict(zip(passed, passed, strict=True)))
        answers = connection.makefile("rb", buffering=0)
        pid = int(answers.readline())
        for number in _PASSED_ON:
            signal.signal(number, lambda which, _: os.kill(pid, which))
        signal.set_wakeup_fd(waker.fileno())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _PASSED_ON)
        for descriptor in passed:
            os.close(descriptor)
        # One that comes right before a read is handled when that read has ended.
        while connection not in select.select([connection, woken], [], [])[0]:
            woken.recv(64)
        return int(answers.readline())


def connected(
    folder: Path, owner: int, python: str, environment: Mapping[str, str]
) -> socket.socket:
    """To the warm process of this Python, which is started when there is none."""
    path = folder / hashlib.sha256(python.encode()).hexdigest()[:12]
    connection = socket.socket(socket.AF_UNIX)
    with open(f"{path}.lock", "w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        with suppress(OSError):
            connection.connect(str(path))
            return connection
        kept = {
            name: text
            for name, text in environment.items()
            if not name.startswith(_OF_TESTS) or name == _OF_ALL_TESTS
        }
        # As a command itself says before it imports MLflow.
        kept |= {"PYTHONPATH": str(PROJECT), "MLFLOW_DISABLE_TELEMETRY": "true"}
        # What a fork was started with, for /proc, has room where these are.
        kept["WINE_QUALITY_TESTS_ROOM"] = "." * _ROOM
        # One that forks has one thread.
        kept["OPENBLAS_NUM_THREADS"] = "1"
        module = "wine_quality_tests.support.warm_forks"
        with open(f"{path}.log", "w") as log:
            process = subprocess.Popen(
                [python, "-m", module, str(path), str(owner), "." * _ROOM],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=PROJECT,
                env=kept,
                start_new_session=True,
            )
        while process.poll() is None:
            with suppress(OSError):
                connection.connect(str(path))
                return connection
            time.sleep(0.02)
    raise RuntimeError(f"{python} did not start: {Path(f'{path}.log').read_text()}")


def ask(
    connection: socket.socket,
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: str,
    descriptors: Mapping[int, int],
) -> None:
    """Have a process forked; the answers are its pid, and its exit code at its end.

    Args:
        arguments: Of Python.
        descriptors: The process's numbers of its files, each with the number that it has here.
    """
    asked = {
        "arguments": arguments,
        "environment": dict(environment),
        "folder": folder,
        "numbers": list(descriptors),
    }
    text = json.dumps(asked).encode() + b"\n"
    sent = socket.send_fds(connection, [text], list(descriptors.values()))
    if sent < len(text):  # else the fork may have ended by now, and nobody listens
        connection.sendall(text[sent:])


def end_as(code: int) -> NoReturn:
    """End this process as one with this exit code, or as by this signal (negative) ended."""
    if code < 0:
        with suppress(OSError):  # nobody handles SIGKILL
            signal.signal(-code, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {-code})
        os.kill(os.getpid(), -code)
    os._exit(code & 0xFF)


if __name__ == "__main__":
    end_as(stand_in(*sys.argv[1:]))
