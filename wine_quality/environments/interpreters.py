"""Find the Python and the uv that build an environment. Standard library only."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from wine_quality.environments.mlflow_versions import environments_root
from wine_quality.escaping import ProjectError
from wine_quality.paths import LOCK_FILES


class InterpreterMissingError(ProjectError, RuntimeError):
    """No interpreter that the version's lock file resolves for can be had."""


Say = Callable[[str], None]
Run = Callable[[list[str]], int]


def _run_loudly(command: list[str]) -> int:
    return subprocess.run(command).returncode


def find_uv(say: Say = print, run: Run = _run_loudly) -> list[str]:
    """The command that is uv; installs it, locked, beside the environments when it is missing.

    Args:
        say: Called with a sentence when something takes time.
        run: Runs a command that takes time; returns its exit code.

    Raises:
        RuntimeError: there is neither uv nor pip; the message names what to install.
    """
    on_path = shutil.which("uv")
    if on_path and _answers([on_path, "--version"]):
        return [on_path]
    if _answers([sys.executable, "-m", "uv", "--version"]):
        return [sys.executable, "-m", "uv"]
    folder = environments_root() / "uv"
    uv = folder / "bin" / "uv"
    if not uv.exists():
        _install_uv(folder, say, run)
    return [str(uv)]


def _install_uv(folder: Path, say: Say, run: Run) -> None:
    say("installing uv, which is not on this machine")
    lock = LOCK_FILES / "uv.txt"
    wanted = ["install", "--quiet", "--disable-pip-version-check", "--require-hashes"]
    wanted += ["-r", str(lock)]
    if _answers([sys.executable, "-m", "pip", "--version"]):
        # --target is allowed on externally managed Pythons too.
        command = [sys.executable, "-m", "pip", *wanted, "--target", str(folder), "--upgrade"]
    elif _answers([sys.executable, "-m", "ensurepip", "--version"]):
        if run([sys.executable, "-m", "venv", str(folder)]) != 0:
            raise RuntimeError(f"no environment for uv could be made in {folder}")
        command = [str(folder / "bin" / "python"), "-m", "pip", *wanted]
    else:
        raise RuntimeError(
            "Neither uv nor pip is on this machine. Install one and try again: "
            "apt-get install python3-venv (or python3-pip), or see docs.astral.sh/uv."
        )
    if run(command) != 0:
        raise RuntimeError("uv could not be installed; is the package index reachable?")


def find_python(
    uv: list[str], pythons: tuple[str, ...], say: Say = print, run: Run = _run_loudly
) -> str:
    """An interpreter of one of ``pythons`` (``major.minor``), one already here before a download.

    Raises:
        InterpreterMissingError: none is here and uv cannot download one.
    """
    for wanted in pythons:
        for candidate in _candidates(wanted):
            if _minor_of(candidate) == wanted:
                return candidate
    for wanted in pythons:
        say(f"asking uv for Python {wanted}, which is not on this machine")
        if run([*uv, "python", "install", wanted]) == 0:
            found = subprocess.run([*uv, "python", "find", wanted], capture_output=True, text=True)
            if found.returncode == 0:
                return found.stdout.strip()
    raise InterpreterMissingError(
        f"No Python {' or '.join(pythons)} is here and uv could not download one. "
        f"Install python{pythons[0]} (Debian: apt-get install python{pythons[0]}-venv; "
        f"pyenv: pyenv install {pythons[0]}) and try again."
    )


def _candidates(wanted: str) -> list[str]:
    found = [sys.executable]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found += [str(path) for path in sorted(pyenv.glob(f"{wanted}.*/bin/python"), reverse=True)]
    on_path = shutil.which(f"python{wanted}")
    return [*found, on_path] if on_path else found


def _minor_of(python: str) -> str | None:
    """Version of an interpreter (``major.minor``); None if it fails, as a stale pyenv shim does."""
    code = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.run([python, "-c", code], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return answer.stdout.strip() if answer.returncode == 0 else None


def _answers(command: list[str]) -> bool:
    try:
        return subprocess.run(command, capture_output=True, timeout=60).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
