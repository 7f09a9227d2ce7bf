"""Install locked requirements into an environment of their own. Standard library only.

The output of uv and pip goes to a log file beside the environment; phase and time are reported to
the caller. Only one environment is built at a time on a machine, by any process.
"""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from wine_quality.environments.interpreters import find_python, find_uv
from wine_quality.environments.mlflow_versions import environments_link, environments_root
from wine_quality.environments.process_groups import end_group
from wine_quality.escaping import ProjectError
from wine_quality.paths import PROJECT_ROOT
from wine_quality.usable_paths import set_link

_POLL_SECONDS = 0.1
_GRACE_SECONDS = 5.0
_PINNED = re.compile(r"^[\w.\[\]-]+==", re.MULTILINE)

Report = Callable[[str, float], None]
"""Gets what is being done now and for how many seconds in all, several times a second."""


class BuildError(ProjectError, RuntimeError):
    """An environment could not be built; the message gives the reason and the log file."""


@dataclass(frozen=True)
class Environment:
    """An environment to build.

    Attributes:
        title: What people call it, e.g. ``the environment of MLflow 2.1.1``.
        folder: Where it is built.
        pythons: Interpreters (``major.minor``) that its requirements resolve for, best first.
        requirements: Lock files with hashes.
        project: Whether it imports this project too.
        keep: Whether what is in the folder is brought up to date; else it is made anew.
    """

    title: str
    folder: Path
    pythons: tuple[str, ...]
    requirements: tuple[Path, ...]
    project: bool = True
    keep: bool = True

    @property
    def python(self) -> Path:
        return self.folder / "bin" / "python"

    @property
    def log(self) -> Path:
        """The output of its last build."""
        return self.folder.with_name(f"build-{self.folder.name}.log")


@contextmanager
def building(environment: Environment, report: Report) -> Iterator[None]:
    """Hold this while building: it waits for a build that another process is at.

    Whatever ``report`` raises ends the waiting.

    Raises:
        BuildError: there is a folder of environments that cannot work where it is.
    """
    environments_root().mkdir(parents=True, exist_ok=True)
    link_environments()
    started = time.monotonic()
    with (environments_root() / ".build.lock").open("a") as guard:
        while True:
            try:
                fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                report("waiting for another build", time.monotonic() - started)
                time.sleep(_POLL_SECONDS)
        yield


def link_environments() -> None:
    """Link the folder of environments to where they lie, if its own path is not usable.

    Raises:
        BuildError: there is a folder of environments that cannot work where it is.
    """
    link = environments_link()
    if link.resolve() == environments_root().resolve():
        return
    if link.exists():
        raise BuildError(
            f"{link} has a path with a % or a ?, in which Dagster cannot run. Remove it (make "
            f"clean): the environments are then built in {environments_root()}."
        )
    link.parent.mkdir(parents=True, exist_ok=True)
    set_link(link, environments_root())


def install(environment: Environment, report: Report) -> None:
    """Make the environment and install its requirements; hold ``building`` meanwhile.

    Whatever ``report`` raises (a run that is cancelled, Ctrl-C) ends the programs that are at work.

    Raises:
        InterpreterMissingError: no fitting Python is here or can be had.
        BuildError: uv failed.
    """
    count = sum(len(_PINNED.findall(file.read_text())) for file in environment.requirements)
    work = _Work(environment, report, count)
    work.say("looking for Python")
    uv = find_uv(work.note, work.run)
    if not (environment.keep and environment.python.exists()):
        python = find_python(uv, environment.pythons, work.note, work.run)
        work.require([*uv, "venv", "--clear", "--python", python, str(environment.folder)])
    work.phase = f"resolving {count} packages"
    work.require(
        [*uv, "pip", "sync", "--require-hashes", "--compile-bytecode"]
        + ["--python", str(environment.python), *map(str, environment.requirements)]
    )
    if environment.project:
        packages = next((environment.folder / "lib").glob("python*/site-packages"))
        (packages / "wine_quality_project.pth").write_text(f"{PROJECT_ROOT}\n")


class _Work:
    """The programs of one build, their output and what they are at."""

    def __init__(self, environment: Environment, report: Report, count: int) -> None:
        self._environment = environment
        self._report = report
        self._count = count
        self._started = time.monotonic()
        self.phase = ""
        environment.log.write_bytes(b"")

    def say(self, phase: str) -> None:
        self.phase = phase
        self._report(phase, time.monotonic() - self._started)

    def note(self, text: str) -> None:
        """A phase that the log keeps too."""
        with self._environment.log.open("a") as log:
            log.write(f"{text}\n")
        self.say(text)

    def require(self, command: list[str]) -> None:
        code = self.run(command)
        if code != 0:
            title, log = self._environment.title, self._environment.log
            raise BuildError(
                f"{title[:1].upper()}{title[1:]} could not be built: {_reason(log, code)}. "
                f"The whole output is in {log}."
            )

    def run(self, command: list[str]) -> int:
        """Exit code; the output is added to the log."""
        with self._environment.log.open("ab") as log:
            log.write(f"$ {' '.join(command)}\n".encode())
            log.flush()
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # A group of its own, so that its helpers end with it.
                start_new_session=True,
                env={**os.environ, "NO_COLOR": "1"},
            )
        try:
            while process.poll() is None:
                self.say(self._phase_now())
                time.sleep(_POLL_SECONDS)
        finally:
            if process.returncode is None:
                end_group(process, _GRACE_SECONDS)
        return process.returncode

    def _phase_now(self) -> str:
        """The phase by the output of the last command, else the one noted last."""
        text = self._environment.log.read_text(errors="replace").rpartition("\n$ ")[2]
        for done, phase in (
            ("\nInstalled ", "compiling"),
            ("\nPrepared ", f"installing {self._count} packages"),
            ("\nResolved ", f"downloading {self._count} packages"),
        ):
            if done in text:
                return phase
        return self.phase


def _reason(log: Path, code: int) -> str:
    """uv's first error and last cause in its output, else its exit code, as text."""
    mark = re.compile(r"(?P<error>error:|×|ERROR:)|(╰─▶|Caused by:|cause:)")
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines()]
    matches = [match for match in map(mark.match, lines) if match]
    found = [(match, match.string[match.end() :].strip()) for match in matches]
    errors = [text for match, text in found if match["error"]][:1]
    causes = [text for match, text in found if not match["error"]][-1:]
    return ": ".join(errors + causes).rstrip(".") or f"uv exited with code {code}"
