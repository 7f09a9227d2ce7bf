"""Build the environments of the MLflow versions. Standard library only: nothing is installed yet.

A stamp, written last, names the lock files that an environment was built from. One that was
interrupted has none and is built again; one whose lock file changed is brought up to date.
"""

from __future__ import annotations

import hashlib
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from wine_quality.environments.extra_packages import extra_lock
from wine_quality.environments.install import (
    Environment,
    Report,
    building,
    install,
    link_environments,
)
from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    EnvironmentMissingError,
    MlflowVersion,
)
from wine_quality.paths import LOCK_FILES, PROJECT_ROOT
from wine_quality.settings.places import BUILD_ENVIRONMENTS as BUILD_ON_FIRST_USE

"""``0``: a version that is not built fails the run. Images set it, which are not to change."""

_STAMP = "wine_quality.stamp"


def lock_files(
    version: MlflowVersion, dev: bool, stack: bool = False, spark: bool = False
) -> list[Path]:
    """The lock files of an environment; on the default one stand the servers of ``make stack``,
    and on both the test tools. PySpark stands on any, and so do other projects' packages."""
    folder = LOCK_FILES
    files = [version.lock_file]
    if version.key == DEFAULT_VERSION:
        files += [folder / "stack.txt"] * (stack or dev) + [folder / "dev.txt"] * dev
    extra = extra_lock(version)
    return files + [folder / "spark.txt"] * spark + [extra] * extra.exists()


def locks_of_all(version: MlflowVersion) -> list[Path]:
    """The lock files of all that may stand in the environment of a version, extra packages not."""
    files = lock_files(version, dev=True, stack=True, spark=True)
    return [file for file in files if file != extra_lock(version)]


def digest(files: list[Path]) -> str:
    """One hash over the lock files and the project's place."""
    together = hashlib.sha256(str(PROJECT_ROOT).encode())
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()


def is_current(version: MlflowVersion, dev: bool, stack: bool = False, spark: bool = False) -> bool:
    """Whether the environment was built from today's lock files, with what is asked or more."""
    if not is_complete(version):
        return False
    wanted = set()
    for with_spark in {True, spark}:
        wanted.add(digest(lock_files(version, True, spark=with_spark)))
        if not dev:
            wanted.add(digest(lock_files(version, False, stack=True, spark=with_spark)))
            if not stack:
                wanted.add(digest(lock_files(version, False, spark=with_spark)))
    return (version.directory / _STAMP).read_text() in wanted


def is_complete(version: MlflowVersion) -> bool:
    """Whether a build of the environment was completed, from any lock files."""
    return (version.directory / _STAMP).exists() and version.python.exists()


def builds_on_first_use() -> bool:
    """Whether a run may build the environment of the version that it picks."""
    return BUILD_ON_FIRST_USE.read().strip() not in ("0", "false", "no", "off")


def require_built(version: MlflowVersion) -> Path:
    """The interpreter of a version, which a command on a terminal builds first if need be.

    Raises:
        EnvironmentMissingError: it is not built, and may not or cannot be; the message gives the
            reason.
    """
    if builds_on_first_use() and not version.is_resident:
        try:
            build(version)
        except RuntimeError as error:
            raise EnvironmentMissingError(
                f"MLflow {version.key} was picked, but: {error}"
            ) from error
    return version.require_python()


def has_spark(version: MlflowVersion) -> bool:
    """Whether PySpark was installed into the environment, which then keeps it."""
    return any(version.directory.glob("lib/python*/site-packages/pyspark-*.dist-info"))


def build(
    version: MlflowVersion,
    dev: bool = False,
    stack: bool = False,
    spark: bool = False,
    report: Report | None = None,
) -> None:
    """Build or update one environment; nothing happens when it is current.

    Args:
        report: Gets the progress; None: one line on the terminal. What it raises ends the build.

    Raises:
        InterpreterMissingError: no fitting Python.
        BuildError: uv failed.
    """
    spark = spark or has_spark(version)
    if is_complete(version):
        link_environments()
        _write_variables(version)
    if is_current(version, dev, stack, spark):
        return
    environment = _environment(version, dev, stack, spark)
    line = None if report else ProgressLine(environment.title)
    report = report or line
    assert report is not None
    try:
        with building(environment, report):
            if is_current(version, dev, stack, spark):
                return
            # PySpark is added to what is there.
            dev = dev or (spark and is_current(version, dev=True))
            stack = stack or (spark and is_current(version, dev=False, stack=True))
            files = lock_files(version, dev, stack, spark)
            _build(version, replace(environment, requirements=tuple(files)), report)
        if line is not None:
            line.done()
    finally:
        if line is not None:
            line.close()


def _environment(version: MlflowVersion, dev: bool, stack: bool, spark: bool) -> Environment:
    files = tuple(lock_files(version, dev, stack, spark))
    return Environment(
        f"the environment of MLflow {version.key}", version.directory, version.pythons, files
    )


def _build(version: MlflowVersion, environment: Environment, report: Report) -> None:
    stamp = version.directory / _STAMP
    stamp.unlink(missing_ok=True)
    install(environment, report)
    _write_variables(version)
    stamp.write_text(digest(list(environment.requirements)))


def _write_variables(version: MlflowVersion) -> None:
    """Write a ``.pth`` file by which Python sets the version's variables when started by hand. A
    library would be too late: setuptools replaces ``distutils`` when Python starts."""
    if not version.variables:
        return
    settings = [f"os.environ.setdefault({k!r}, {v!r})" for k, v in version.variables.items()]
    content = f"import os; {'; '.join(settings)}\n"
    for packages in version.directory.glob("lib/python*/site-packages"):
        # Read before distutils-precedence.pth, which is setuptools'.
        file = packages / "_wine_quality_variables.pth"
        with suppress(OSError):  # an image's, which is not to change, has it already
            if not file.exists() or file.read_text() != content:
                file.write_text(content)


class ProgressLine:
    """The progress of a build as one line of a terminal, written over and over.

    Where nobody watches (a pipe, a file) it is one line at the beginning and one at the end.
    """

    def __init__(self, title: str) -> None:
        self._title = title
        self._started = time.monotonic()
        self._rewrites = sys.stdout.isatty()
        self._written = 0.0
        self._begun = False

    def __call__(self, phase: str, seconds: float) -> None:
        text = f"Building {self._title}"
        if not self._begun:
            self._begun = True
            if not self._rewrites:
                print(f"{text} …", flush=True)
        if self._rewrites and time.monotonic() - self._written > 0.2:
            self._written = time.monotonic()
            print(f"\r\x1b[2K{text}: {phase} … {seconds:.0f} s", end="", flush=True)

    def done(self) -> None:
        """Print that the environment is ready, when anything was built."""
        if self._begun:
            seconds = time.monotonic() - self._started
            before = "\r\x1b[2K" if self._rewrites else ""
            print(
                f"{before}{self._title[:1].upper()}{self._title[1:]} is ready ({seconds:.0f} s).",
                flush=True,
            )
            self._begun = False

    def close(self) -> None:
        """End a line that was left unfinished."""
        if self._begun and self._rewrites:
            print(flush=True)
