"""The child process that runs a plan in another environment, seen from its parent."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from typing import TYPE_CHECKING

from wine_quality.environments.process_groups import parent_variable
from wine_quality.execution.project_code import ProjectCode
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.internal import TERMINAL_FD

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from wine_quality.environments.mlflow_versions import MlflowVersion

GRACE_SECONDS = 30.0
"""Seconds for an interrupted child to close its MLflow run before it is killed."""

"""Names the file descriptor of the terminal to a child whose own output goes to a file."""

PRELOAD = "preload"
"""Argument: the child imports what runs of this package's own code location need."""

ONE_STEP = "one-step"
"""Argument: it runs one step of the plan, and other processes the others."""

_POLL_SECONDS = 0.05


class PlanProcess:
    """Starts ``python -m wine_quality.execution.worker`` and reads its events line by line.

    It begins with its imports, and waits for the plan when it is sooner ready than its parent.
    """

    _started_early: PlanProcess | None = None
    output: Path | None = None
    """The file that children print into; None: where this process prints."""

    def __init__(
        self, version: MlflowVersion, code: ProjectCode | None = None, *, one_step: bool = False
    ) -> None:
        """Args:
        one_step: It runs a step of a plan whose others run elsewhere, and sends no events.
        """
        python = version.require_python()
        self._version, self._code = version, code or ProjectCode()
        if one_step:
            self._events = os.open(os.devnull, os.O_RDONLY)
            events_of_child = os.open(os.devnull, os.O_WRONLY)
        else:
            self._events, events_of_child = os.pipe()
        variables = version.process_variables()
        given = filter(None, [variables.get("PYTHONPATH")])
        paths = [str(PROJECT_ROOT), *self._code.folders, *given]
        variables["PYTHONPATH"] = os.pathsep.join(paths)
        variables |= parent_variable()
        handed_on, printed = [events_of_child], None
        if PlanProcess.output is not None:
            printed = PlanProcess.output.open("ab")
            handed_on.append(os.dup(2))
            variables[TERMINAL_FD] = str(handed_on[-1])
        try:
            self._process = subprocess.Popen(
                [str(python), "-m", "wine_quality.execution.worker", str(events_of_child)]
                + [PRELOAD] * self._code.is_own
                + [ONE_STEP] * one_step,
                stdin=subprocess.PIPE,
                stdout=printed,
                stderr=printed,
                env=variables,
                pass_fds=tuple(handed_on),
                # A session of its own: Ctrl-C reaches the child once, through interrupt().
                start_new_session=True,
            )
        finally:
            for descriptor in handed_on:
                os.close(descriptor)
            if printed is not None:
                printed.close()
        self._deadline: float | None = None

    @classmethod
    def start_early(cls, version: MlflowVersion) -> None:
        """Have its imports done on another core while this process does its own."""
        cls._started_early = cls(version)

    @classmethod
    def of(cls, version: MlflowVersion, code: ProjectCode) -> PlanProcess:
        """The one that was started early for this version, else a new one."""
        early, cls._started_early = cls._started_early, None
        if early is not None:
            fits = early._version is version and early._code == code
            if fits and early._process.poll() is None:
                return early
            early.discard()
        return cls(version, code)

    @classmethod
    def discard_early(cls) -> None:
        """End the one that was started early and never got a plan."""
        early, cls._started_early = cls._started_early, None
        if early is not None:
            early.discard()

    def discard(self) -> None:
        """End a process that has not got a plan yet."""
        self._process.kill()
        self._process.wait()
        os.close(self._events)

    def send(self, arguments: str) -> None:
        """Hand the plan over."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(arguments.encode())
            self._process.stdin.close()
        except BrokenPipeError:
            pass  # it died at once; lines() ends, and describe_exit() has the reason

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        return self._process.returncode

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    def lines(self) -> Iterator[str | None]:
        """Each line the child sends, and None whenever none came for a moment."""
        buffer = b""
        while True:
            ready, _, _ = select.select([self._events], [], [], _POLL_SECONDS)
            if not ready:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    self._process.kill()
                    self._deadline = None
                # A grandchild may hold the pipe open after the child has died.
                if self._process.poll() is not None:
                    ready, _, _ = select.select([self._events], [], [], 0)
                    if not ready:
                        return
                else:
                    yield None
                    continue
            chunk = os.read(self._events, 1 << 16)
            if not chunk:
                return
            *complete, buffer = (buffer + chunk).split(b"\n")
            yield from (line.decode() for line in complete)
            yield None

    def interrupt(self) -> None:
        """Ask the child to stop as Ctrl-C would; it is killed when the grace period is over."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._deadline = time.monotonic() + GRACE_SECONDS

    def stop(self) -> None:
        """Wait for the child; one that is still at work (its parent is failing) is interrupted."""
        os.close(self._events)
        try:
            self._process.wait(timeout=5.0)
        except subprocess.TimeoutExpired:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def describe_exit(self) -> str:
        """Exit code or signal that ended it, in words."""
        code = self._process.returncode
        if code is not None and code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if name == "SIGKILL" else ""
            return f"was ended by {name}{hint}"
        return f"exited with code {code}"
