"""Forked workers end, and are ended, as processes of their own would be."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.plan_process import PlanProcess
from wine_quality_tests.support import warm_commands, warm_workers
from wine_quality_tests.support.servers import await_condition, opened_by
from wine_quality_tests.support.warm_programs import WarmProgram

VERSION = MLFLOW_VERSIONS["3"]


@pytest.fixture
def process(forked_workers) -> Iterator[PlanProcess]:
    """One that waits for its plan."""
    started = PlanProcess(VERSION)
    await_condition(lambda: bool(forks(started)), "the fork", 60)
    yield started
    started.discard()


def forks(process: PlanProcess) -> list[int]:
    """The forked workers of this process: they have its end of the pipe of events, too."""
    pipe = os.readlink(f"/proc/self/fd/{process._events}")
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            # The warm process has it for a moment, too.
            is_fork = pipe in opened_by(int(entry.name)) and b"warm_forks" in command_of_parent(
                entry
            )
        except OSError:
            continue
        if is_fork:
            found.append(int(entry.name))
    return found


def command_of_parent(process: Path) -> bytes:
    parent = (process / "stat").read_text().rpartition(") ")[2].split()[1]
    return (process.with_name(parent) / "cmdline").read_bytes()


def ended(process: PlanProcess) -> str:
    await_condition(process.has_ended, "its end", 30)
    return process.describe_exit()


def test_it_ends_as_its_fork(process):
    process.send("")
    assert ended(process) == "exited with code 0"
    assert list(process.lines()) == []


def test_its_fork_is_killed(process):
    [fork] = forks(process)
    os.kill(fork, signal.SIGKILL)
    assert ended(process).startswith("was ended by SIGKILL")


def test_its_fork_is_interrupted_with_it(process):
    [fork] = forks(process)
    # After its imports: Python loses an interrupt that comes in a hook of one.
    waits = Path(f"/proc/{fork}/wchan")
    await_condition(lambda: "pipe_read" in waits.read_text(), "it to wait for its plan", 30)
    process.interrupt()
    assert ended(process) == "exited with code 130"


def test_its_fork_ends_with_it(process):
    [fork] = forks(process)
    os.kill(process.pid, signal.SIGKILL)
    assert ended(process).startswith("was ended by SIGKILL")
    await_condition(lambda: fork not in forks(process), "the end of the fork", 10)


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (["-m", "one", "two"], (False, "-m", ["one", "two"])),
        (["-W", "ignore", "-c", "one"], (True, "-c", ["one"])),
        (["one"], (False, "", [])),
        (["-m"], (False, "", [])),
    ],
)
def test_split_finds_the_module(arguments, found):
    assert warm_workers.split(arguments) == found


def test_programs_are_run_by_the_python_of_their_environment():
    given = ["/env/bin/mlflow", "server", "--port", "1"]
    changed = ["/env/bin/python", "-c", warm_workers.MLFLOW, "server", "--port", "1"]
    assert warm_workers.by_python(given) == changed
    assert warm_workers.runs_code(changed)
    for other in (["/env/bin/mlflow", "gc"], ["/env/bin/other", "server"], ["python", "-c", "1"]):
        assert warm_workers.by_python(other) == other
        assert not warm_workers.runs_code(other)


@pytest.mark.parametrize(
    ("code", "ended", "printed"),
    [
        ("import sys; print(__name__, sys.argv)", 0, "__main__ ['-c', 'given']\n"),
        ("import sys; sys.exit(7)", 7, ""),
        ("raise SystemExit('why')", 1, "why\n"),
        ("import os; os.kill(os.getpid(), 9)", -signal.SIGKILL, ""),
        ("raise KeyboardInterrupt", -signal.SIGINT, "KeyboardInterrupt\n"),
        ("import atexit; atexit.register(print, 'last'); 1 / 0", 1, "last\n"),
    ],
)
def test_code_ends_as_python_ends_it(code, ended, printed):
    python = str(VERSION.python)
    forked = warm_commands.run_python(python, "-c", code, "given")
    alone = subprocess.run([python, "-c", code, "given"], capture_output=True, text=True)
    assert forked.returncode == alone.returncode == ended
    for done in (forked, alone):
        assert (done.stdout + done.stderr).endswith(printed) or printed in done.stdout


def run_code(code: str, **variables: str) -> str:
    env = {**os.environ, **variables}
    done = warm_commands.run_python(str(VERSION.python), "-c", code, "given", env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_fork_writes_to_a_pipe_in_its_encoding():
    code = "import sys; sys.stdout.reconfigure(errors='replace'); print('ü', sys.stdout.seekable())"
    env = {**os.environ, "PYTHONIOENCODING": "latin-1"}
    command = warm_commands.forked_command("-c", code, python=VERSION.python)
    done = subprocess.run(command, stdout=subprocess.PIPE, env=env, timeout=60)
    assert (done.returncode, done.stdout) == (0, b"\xfc False\n")


def test_a_python_that_does_not_start_ends_in_its_own_way(tmp_path):
    broken = tmp_path / "python"
    broken.write_text('#!/bin/sh\necho "$3"\nexit 7\n')
    broken.chmod(0o755)
    command = warm_commands.forked_command("-c", "code", "given", python=broken)
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (7, "given\n", "")


def test_proc_shows_what_a_fork_was_started_with():
    code = "import os; print(*(open(f'/proc/self/{n}').read() for n in ('cmdline', 'environ')))"
    shown = run_code(code, WINE_QUALITY_TESTS_SEEN="here")
    assert shown.startswith("\0".join([str(VERSION.python), "-c", code, "given"]))
    assert "\0WINE_QUALITY_TESTS_SEEN=here\0" in shown


def test_a_fork_has_the_project_of_its_folder(tmp_path):
    (tmp_path / "wine_quality").mkdir()
    (tmp_path / "wine_quality" / "__init__.py").write_text("print('another')\n")
    log = tmp_path / "log"
    arguments = ("-c", "import wine_quality")
    with log.open("wb") as out:
        program = WarmProgram(VERSION.python, *arguments, env=os.environ, cwd=tmp_path, log=out)
    assert program.wait(60) == 0
    assert log.read_text() == "another\n"


def test_a_fork_has_definitions_of_its_variables():
    code = "from wine_quality.definitions import defs as d; print(d.resources['mlflow'].version)"
    assert run_code(code, WINE_QUALITY_MLFLOW="2.1.1") == "VersionKey.2.1.1\n"
    assert run_code(code) == "VersionKey.3\n"


def test_a_fork_that_has_ended_before_whoever_asked_goes_on(monkeypatch):
    here, there = socket.socketpair()
    send = socket.send_fds

    def send_and_end(*given):
        sent = send(*given)
        there.recv(1 << 16)
        there.sendall(b"7\n0\n")
        there.close()
        return sent

    monkeypatch.setattr(socket, "send_fds", send_and_end)
    with here:
        warm_workers.ask(here, ["-c", "pass"], {}, "/", {})
        assert here.recv(9) == b"7\n0\n"
