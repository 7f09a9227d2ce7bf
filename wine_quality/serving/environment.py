"""The environment that a model is served in, kept by the hash of its locked requirements."""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from wine_quality.deployment.served_model import UnservableModel
from wine_quality.environments.interpreters import (
    InterpreterMissingError,
    find_python,
    find_uv,
)
from wine_quality.environments.versions import environments_root

_STAMP = "wine_quality.stamp"


def environment_name(requirements: str, python: str) -> str:
    """Of the folder: the same requirements on the same Python share one."""
    digest = hashlib.sha256(f"{python}\n{requirements}".encode()).hexdigest()
    return f"serving-{digest[:12]}"


def serving_python(requirements: str, python: str, say: Callable[[str], None]) -> Path:
    """The interpreter of the environment, which is built when it is not there yet.

    Args:
        requirements: Locked, with hashes.
        python: ``major.minor`` that the model was trained with.

    Raises:
        UnservableModel: no such Python, or uv could not install the requirements.
    """
    folder = environments_root() / environment_name(requirements, python)
    interpreter = folder / "bin" / "python"
    if (folder / _STAMP).exists() and interpreter.exists():
        return interpreter
    environments_root().mkdir(parents=True, exist_ok=True)
    with (environments_root() / f".{folder.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (folder / _STAMP).exists():
            _build(folder, requirements, python, say)
    return interpreter


def _build(folder: Path, requirements: str, python: str, say: Callable[[str], None]) -> None:
    started = time.monotonic()
    say(f"building the serving environment {folder.name} (Python {python}) …")
    uv = find_uv()
    try:
        interpreter = find_python(uv, (python,))
        _run([*uv, "venv", "--quiet", "--clear", "--python", interpreter, str(folder)])
        lock = folder / "requirements.txt"
        lock.write_text(requirements)
        _run(
            [*uv, "pip", "sync", "--quiet", "--require-hashes", "--compile-bytecode"]
            + ["--python", str(folder / "bin" / "python"), str(lock)]
        )
    except InterpreterMissingError as error:
        raise UnservableModel(str(error)) from error
    (folder / _STAMP).touch()
    say(f"the serving environment is ready ({time.monotonic() - started:.0f} s)")


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise UnservableModel(
            f"the serving environment could not be built; is the package index reachable?\n"
            f"{done.stderr.strip()[-2000:]}"
        )


def main() -> int:
    """``python -m wine_quality.serving.environment``: build those of the project's lock files."""
    from wine_quality.deployment.requirements import LOCKS
    from wine_quality.environments.versions import MLFLOW_VERSIONS

    for version in MLFLOW_VERSIONS.values():
        lock = LOCKS / f"serving-{version.key}.txt"
        serving_python(lock.read_text(), version.pythons[0], lambda text: print(text, flush=True))
    return 0


if __name__ == "__main__":
    sys.exit(main())
