"""Packages that another project needs besides those of an MLflow version's lock file.

They are locked too, with hashes, to versions that go with the lock file, which stays as it is.
Their lock lies beside the environments and is a part of each build from then on.
Standard library only.
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

from wine_quality.environments.install import BuildError
from wine_quality.environments.interpreters import find_uv
from wine_quality.environments.mlflow_versions import MlflowVersion, environments_root

_PIN = re.compile(r"^([A-Za-z0-9][\w.-]*)(?:\[[^]]*\])?==")


def extra_lock(version: MlflowVersion) -> Path:
    """The lock of a version's extra packages, whether or not it has any."""
    return environments_root() / f"extra-{version.key}.txt"


def _extra_requirements(version: MlflowVersion) -> Path:
    return extra_lock(version).with_suffix(".in")


def add_packages(version: MlflowVersion, requirements: Path, constraints: list[Path]) -> bool:
    """Lock the packages of a requirements file for a version, with those that were added before.

    Args:
        requirements: As pip reads it; other files that it names are read too.
        constraints: Lock files of all that stands in the environment; none of it changes.

    Returns:
        Whether anything is new.

    Raises:
        BuildError: they do not go with the lock file, or cannot be found; nothing has changed.
    """
    wanted, lock = _extra_requirements(version), extra_lock(version)
    lock.parent.mkdir(parents=True, exist_ok=True)
    before = wanted.read_text().splitlines() if wanted.exists() else []
    lines = dict.fromkeys([*before, *_requirements_in(requirements)])
    text = "".join(f"{line}\n" for line in lines)
    if wanted.exists() and lock.exists() and text == wanted.read_text():
        return False
    compiled = _compile(version, text, constraints)
    locked = {_name(line) for line in version.lock_file.read_text().splitlines()}
    new = [block for name, block in _blocks(compiled) if name not in locked]
    wanted.write_text(text)
    lock.write_text("".join(new))
    return True


def _requirements_in(file: Path) -> Iterator[str]:
    """Those of a file, and of files that it names by ``-r``; paths as they can be read from
    anywhere."""
    for line in file.read_text().splitlines():
        line = re.sub(r"(^|\s)#.*", "", line).strip()
        named = re.match(r"(?:-r|--requirement)[ =]\s*(.+)", line)
        if named:
            yield from _requirements_in(file.parent / named[1])
        elif line.startswith("-"):
            raise BuildError(
                f"{file} has the option {line!r}. It may have names of packages with versions, and "
                "-r FILE; an index is set for uv, as by UV_INDEX_URL."
            )
        elif line:
            yield line


def _compile(version: MlflowVersion, requirements: str, constraints: list[Path]) -> str:
    command = [*find_uv(), "pip", "compile", "-", "--quiet", "--generate-hashes"]
    command += ["--no-emit-index-url", "--no-header", "--no-annotate"]
    if version.python.exists():
        command += ["--python", str(version.python)]
    else:
        command += ["--python-version", version.pythons[0]]
    for file in constraints:
        command += ["--constraint", str(file)]
    done = subprocess.run(command, input=requirements, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(
            f"the packages do not go with MLflow {version.key}, whose own stay as they are: "
            f"{done.stderr.strip()}"
        )
    return done.stdout


def _blocks(lock: str) -> Iterator[tuple[str, str]]:
    """Name and lines of each package."""
    name = ""
    lines: list[str] = []
    for line in lock.splitlines(keepends=True):
        if _PIN.match(line):
            if name:
                yield name, "".join(lines)
            name, lines = _name(line), []
        lines.append(line)
    if name:
        yield name, "".join(lines)


def _name(line: str) -> str:
    """Normalized name of the package that a line pins; empty if it pins none."""
    found = _PIN.match(line)
    return re.sub(r"[-_.]+", "-", found[1]).lower() if found else ""
