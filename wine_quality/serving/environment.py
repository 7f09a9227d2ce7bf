"""The environment that a model is served in, kept by the hash of its locked requirements."""

from __future__ import annotations

import hashlib
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wine_quality.environments.install import BuildError, Environment, building, install
from wine_quality.environments.interpreters import InterpreterMissingError
from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.packaging.served_model import UnservableModelError

_STAMP = "wine_quality.stamp"


def environment_name(requirements: str, python: str) -> str:
    """Name of its folder: the same requirements on the same Python share one."""
    digest = hashlib.sha256(f"{python}\n{requirements}".encode()).hexdigest()
    return f"serving-{digest[:12]}"


def serving_python(requirements: str, python: str, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment, which is built when it is not there yet.

    Args:
        requirements: Locked, with hashes.
        python: ``major.minor`` that the model was trained with.

    Raises:
        UnservableModelError: no such Python, or uv could not install the requirements.
    """
    folder = environments_root() / environment_name(requirements, python)
    interpreter = folder / "bin" / "python"
    if (folder / _STAMP).exists() and interpreter.exists():
        return interpreter
    lock = environments_root() / f"{folder.name}.txt"
    environment = Environment(
        f"the serving environment {folder.name}",
        folder,
        (python,),
        (lock,),
        project=False,
        keep=False,
    )
    report = _Lines(say)
    try:
        with building(environment, report):
            if not (folder / _STAMP).exists():
                lock.write_text(requirements)
                say(f"building the serving environment {folder.name} (Python {python}) …")
                started = time.monotonic()
                install(environment, report)
                lock.rename(folder / "requirements.txt")
                (folder / _STAMP).touch()
                say(f"the serving environment is ready ({time.monotonic() - started:.0f} s)")
    except (InterpreterMissingError, BuildError) as error:
        raise UnservableModelError(str(error)) from error
    return interpreter


class _Lines:
    """Reports once that another build has to be waited for."""

    def __init__(self, say: Callable[[str], None]) -> None:
        self._say = say
        self._waits = False

    def __call__(self, phase: str, _seconds: float) -> None:
        if phase.startswith("waiting") and not self._waits:
            self._waits = True
            self._say(f"the serving environment: {phase} …")


def main() -> int:
    """``python -m wine_quality.serving.environment``: build those of the project's lock files."""
    from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
    from wine_quality.packaging.requirements import LOCKS

    for version in MLFLOW_VERSIONS.values():
        lock = LOCKS / f"serving-{version.key}.txt"
        serving_python(lock.read_text(), version.pythons[0], lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
