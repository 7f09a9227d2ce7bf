"""Another MLflow version as one step: `make add-mlflow VERSION=2.22.5`.

Writes the requirements and lock files of its environment, of the one that serves its models and of
its server's image, its entry in the table of ``mlflow_versions.py``, and its lines in ``deploy``.
Standard library only, as all of this package. Nothing is written unless every lock could be made.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from wine_quality.environments import mlflow_versions
from wine_quality.environments.install import BuildError
from wine_quality.environments.interpreters import find_uv
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MODEL_PACKAGES
from wine_quality.escaping import ProjectError
from wine_quality.paths import IS_CHECKOUT, LOCK_FILES, PROJECT_ROOT

PYTHON = "3.11"
_VERSION = re.compile(r"[1-9]\d*\.\d+\.\d+")
_ENTRY = """\
        MlflowVersion(
            key="{key}",
            client="{key}",
            servers=({major},),
            backend=_EXPLICIT,
            pythons=("{python}",),
            port={port},
            variables={variables},
        ),
"""
_IN_TABLE = re.compile(r'^        MlflowVersion\(\n            key="(?P<key>[^"]+)"', re.MULTILINE)
# What MLflow 2's own bounds let in and its releases break on.
_PINS_OF_2 = """\
setuptools<82      # imports pkg_resources
sqlalchemy<2.1     # imports FallbackAsyncAdaptedQueuePool
"""
_OLDEST_EXPLICIT = (2, 0, 0)

Compile = Callable[[Path, str], None]
"""Makes ``NAME.txt`` in a folder out of the ``NAME.in`` that lies there."""


class AddVersionError(ProjectError, ValueError):
    """The version cannot be added; the message gives the reason and the remedy."""


def add_version(
    key: str, *, locks: Path, table: Path, compile_lock: Compile, say: Callable[[str], None]
) -> list[Path]:
    """Add a version to the table, with its lock files; return the files written.

    Args:
        key: A version of MLflow, such as ``2.22.5``.
        locks: The folder of the requirements and lock files.
        table: ``mlflow_versions.py``, which is given an entry.
        compile_lock: Makes a lock file.
        say: Called with each thing that is being done.

    Raises:
        AddVersionError: the version is in the table, is not a version, or is too old for the
            tracker.
        BuildError: a lock file could not be made. Nothing is written.
    """
    _check(key)
    mlflow, serving, server = names = (f"mlflow-{key}", f"serving-{key}", f"server-{key}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file in locks.glob("*.in"):
            shutil.copy(file, folder)
        (folder / f"{mlflow}.in").write_text(_requirements(key))
        say(f"resolving MLflow {key} and what it needs")
        compile_lock(folder, mlflow)
        (folder / f"{serving}.in").write_text(
            _serving_requirements(key, (folder / f"{mlflow}.txt").read_text())
        )
        say("resolving what serves its models")
        compile_lock(folder, serving)
        (folder / f"{server}.in").write_text(_server_requirements(key))
        say("resolving its server")
        compile_lock(folder, server)
        entered = _with_entry(table.read_text(), key)
        written = [locks / f"{one}{end}" for one in names for end in (".in", ".txt")]
        for file in written:
            shutil.copy(folder / file.name, file)
    table.write_text(entered)
    return [*written, table]


def _check(key: str) -> None:
    if not _VERSION.fullmatch(key):
        raise AddVersionError(
            f"{key!r} is not a version of MLflow. Give all of it, such as 2.22.5."
        )
    if key in MLFLOW_VERSIONS:
        raise AddVersionError(f"MLflow {key} is in the table already: make env MLFLOW={key}")
    if _numbers(key) < _OLDEST_EXPLICIT:
        raise AddVersionError(
            f"MLflow {key} needs pins by hand, as deploy/requirements/mlflow-1.26.in has them: see "
            "docs/how-to/add-a-thing.md."
        )


def _requirements(key: str) -> str:
    pins = _PINS_OF_2 if _numbers(key)[0] < 3 else ""
    return f"-r common.in\nmlflow=={key}\n{pins}"


def _serving_requirements(key: str, lock: str) -> str:
    pinned = dict(re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE))
    pins = "".join(f"{name}=={pinned[name]}\n" for name in MODEL_PACKAGES if name in pinned)
    return (
        f"# Serves models that MLflow {key}'s environment trained: its versions, by "
        f"mlflow-{key}.txt.\n-r serving.in\n{pins}"
    )


def _server_requirements(key: str) -> str:
    return (
        f"# The MLflow {key} server: what of mlflow-{key}.txt it needs, less server-excludes.in.\n"
        f"-r server.in\n-c mlflow-{key}.txt\nmlflow\n"
    )


def _with_entry(source: str, key: str) -> str:
    """The table with the version before the first that is newer."""
    port = max(version.port for version in MLFLOW_VERSIONS.values()) + 1
    major = _numbers(key)[0]
    entry = _ENTRY.format(
        key=key,
        major=major,
        python=PYTHON,
        port=port,
        variables='{"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}' if major >= 3 else "_DISTUTILS",
    )
    for found in _IN_TABLE.finditer(source):
        # "3" is the newest 3.x.
        if _numbers(found["key"]) > _numbers(key) or "." not in found["key"]:
            return source[: found.start()] + entry + source[found.start() :]
    raise AddVersionError(
        f"the table in {mlflow_versions.__file__} has no version newer than {key}"
    )


def _numbers(key: str) -> tuple[int, ...]:
    return tuple(map(int, key.split(".")))


def compile_with_uv(folder: Path, name: str) -> None:
    """Lock ``NAME.in`` as ``NAME.txt`` with the project's own uv.

    Raises:
        BuildError: the requirements do not fit together, or no index answers; with uv's words.
    """
    command = [*find_uv(), "pip", "compile", "--python-version", PYTHON, "--generate-hashes"]
    command += ["--no-emit-index-url", "--quiet"]
    if name.startswith("server-"):
        command += ["--excludes", "server-excludes.in"]
    command += [f"{name}.in", "-o", f"{name}.txt"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{name}.in could not be locked: {done.stderr.strip()}")


def main(key: str) -> None:
    """Add it to this checkout, and print the next commands.

    Raises:
        AddVersionError: see ``add_version``; or this is not a checkout.
        BuildError: see ``add_version``.
    """
    if not IS_CHECKOUT:
        raise AddVersionError("versions are added to a checkout, which this is not")
    written = add_version(
        key,
        locks=LOCK_FILES,
        table=Path(mlflow_versions.__file__),
        compile_lock=compile_with_uv,
        say=lambda text: print(f"{text} …", flush=True),
    )
    for file in written:
        print(f"wrote {file.relative_to(PROJECT_ROOT)}")
    # A process of its own: the table of this one is the one of before.
    subprocess.run([sys.executable, "-m", "wine_quality.environments.deploy_files"], check=True)
    print(f"Next: make run MLFLOW={key}, then make test, whose tests take it in by themselves.")
