"""The locked requirements of a model's serving environment."""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

from wine_quality.environments.interpreters import find_uv
from wine_quality.packaging.served_model import ServedModel, UnservableModelError
from wine_quality.paths import LOCK_FILES as LOCKS

SERVER = LOCKS / "serving.in"
"""Requirements file of the packages that every serving environment has besides the model's."""
_COMPILE_SECONDS = 300.0


def locked(model: ServedModel) -> str:
    """Requirements with hashes: a lock file of the project if it fits, else resolved by uv.

    Raises:
        UnservableModelError: no lock fits and uv could not make one; the message has uv's words.
    """
    for file in sorted(LOCKS.glob("serving-*.txt")):
        text = file.read_text()
        if dict(model.packages).items() <= pins(text, model.python).items():
            return text
    return _compile(model)


def pins(lock: str, python: str) -> dict[str, str]:
    """Name and version of what a lock file installs on a Python (``major.minor``)."""
    from packaging.markers import Marker

    found = {}
    for name, version, marker in re.findall(
        r"^([A-Za-z0-9_.-]+)==(\S+?)(?:\s*;\s*(.*?))?\s*\\?$", lock, re.MULTILINE
    ):
        here = {"python_version": python, "python_full_version": f"{python}.0"}
        if not marker or Marker(marker.strip()).evaluate(here):
            found[name] = version
    return found


def _compile(model: ServedModel) -> str:
    """The model's own pins and the server's requirements, resolved now."""
    with tempfile.TemporaryDirectory() as folder:
        wanted = Path(folder) / "serving.in"
        lines = [f"{name}=={version}" for name, version in model.packages]
        wanted.write_text("\n".join([SERVER.read_text(), *lines, ""]))
        command = [*find_uv(), "pip", "compile", "--generate-hashes", "--no-emit-index-url"]
        command += ["--no-header", "--no-annotate", "--quiet", "--python-version", model.python]
        try:
            done = subprocess.run(
                [*command, str(wanted)], capture_output=True, text=True, timeout=_COMPILE_SECONDS
            )
        except subprocess.TimeoutExpired:
            raise UnservableModelError(
                f"{model.name} version {model.version}: uv did not resolve its requirements within "
                f"{_COMPILE_SECONDS:.0f} s; is the package index reachable?"
            ) from None
    if done.returncode != 0:
        raise UnservableModelError(
            f"{model.name} version {model.version}: no environment holds MLServer and what the "
            f"model was trained with ({', '.join('=='.join(pin) for pin in model.packages)}; "
            f"Python {model.python}). uv says:\n{done.stderr.strip()[-2000:]}"
        )
    return done.stdout
