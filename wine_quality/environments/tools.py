"""Environments of tools that work beside the project: the documentation's, the benchmarks'.

``python3 -m wine_quality.environments tools docs`` builds ``.venvs/docs`` from the lock
file of that name.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from wine_quality.environments.install import Environment, building, install
from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.paths import LOCK_FILES

_PYTHONS = ("3.11", "3.12")
_STAMP = "built-from"


def tools_python(name: str) -> Path:
    """The interpreter of ``deploy/requirements/NAME.txt``, built when that file has changed.

    Raises:
        InterpreterMissingError: no fitting Python is here or can be had.
        BuildError: uv failed; the message names its log.
    """
    lock = LOCK_FILES / f"{name}.txt"
    folder = environments_root() / name
    environment = Environment(
        f"the environment of {name}", folder, _PYTHONS, (lock,), project=False
    )
    stamp, wanted = folder / _STAMP, hashlib.sha256(lock.read_bytes()).hexdigest()
    report = _Silent()
    with building(environment, report):
        if not stamp.exists() or stamp.read_text() != wanted:
            print(f"Building {environment.title} …", flush=True)
            install(environment, report)
            stamp.write_text(wanted)
    return environment.python


class _Silent:
    """Progress report that prints nothing: uv's output is in the log file."""

    def __call__(self, _phase: str, _seconds: float) -> None:
        return
