"""Build the locked environments. Standard library only: nothing is installed yet.

A stamp, written last, says from which lock files an environment was built. One that was
interrupted has none and is built again; one whose lock file changed is brought up to date.
"""

from __future__ import annotations

import fcntl
import hashlib
import subprocess
import time
from pathlib import Path

from wine_quality.environments.interpreters import find_python, find_uv
from wine_quality.environments.versions import (
    DEFAULT_VERSION,
    PROJECT_ROOT,
    MlflowVersion,
    environments_root,
)

_STAMP = "wine_quality.stamp"


def lock_files(
    version: MlflowVersion, dev: bool, stack: bool = False, spark: bool = False
) -> list[Path]:
    """The lock files of an environment; on the default one stand the servers of ``make stack``,
    and on both the test tools. PySpark stands on any."""
    folder = PROJECT_ROOT / "deploy" / "requirements"
    files = [version.lock_file]
    if version.key == DEFAULT_VERSION:
        files += [folder / "stack.txt"] * (stack or dev) + [folder / "dev.txt"] * dev
    return files + [folder / "spark.txt"] * spark


def digest(files: list[Path]) -> str:
    """One hash over the lock files and the project's place."""
    together = hashlib.sha256(str(PROJECT_ROOT).encode())
    for file in files:
        together.update(file.read_bytes())
    return together.hexdigest()


def is_current(version: MlflowVersion, dev: bool, stack: bool = False, spark: bool = False) -> bool:
    """Whether the environment was built from today's lock files, with what is asked or more."""
    stamp = version.directory / _STAMP
    if not stamp.exists() or not version.python.exists():
        return False
    wanted = set()
    for with_spark in {True, spark}:
        wanted.add(digest(lock_files(version, True, spark=with_spark)))
        if not dev:
            wanted.add(digest(lock_files(version, False, stack=True, spark=with_spark)))
            if not stack:
                wanted.add(digest(lock_files(version, False, spark=with_spark)))
    return stamp.read_text() in wanted


def has_spark(version: MlflowVersion) -> bool:
    """Whether PySpark was installed into the environment, which then keeps it."""
    return any(version.directory.glob("lib/python*/site-packages/pyspark-*.dist-info"))


def build(
    version: MlflowVersion, dev: bool = False, stack: bool = False, spark: bool = False
) -> None:
    """Build or update one environment; nothing happens when it is current.

    Raises:
        InterpreterMissingError: no fitting Python.
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    spark = spark or has_spark(version)
    if is_current(version, dev, stack, spark):
        return
    environments_root().mkdir(parents=True, exist_ok=True)
    with (environments_root() / f".{version.directory.name}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not is_current(version, dev, stack, spark):
            # PySpark is added to what is there.
            dev = dev or (spark and is_current(version, dev=True))
            stack = stack or (spark and is_current(version, dev=False, stack=True))
            _build(version, dev, stack, spark)


def _build(version: MlflowVersion, dev: bool, stack: bool, spark: bool) -> None:
    started = time.monotonic()
    print(f"Building the environment of MLflow {version.key} in {version.directory} …", flush=True)
    uv = find_uv()
    stamp = version.directory / _STAMP
    stamp.unlink(missing_ok=True)
    if not version.python.exists():
        python = find_python(uv, version.pythons)
        subprocess.run([*uv, "venv", "--clear", "--python", python, version.directory], check=True)
    files = lock_files(version, dev, stack, spark)
    subprocess.run(
        [*uv, "pip", "sync", "--require-hashes", "--compile-bytecode"]
        + ["--python", str(version.python), *map(str, files)],
        check=True,
    )
    packages = next((version.directory / "lib").glob("python*/site-packages"))
    (packages / "wine_quality_project.pth").write_text(f"{PROJECT_ROOT}\n")
    stamp.write_text(digest(files))
    print(f"MLflow {version.key} is ready ({time.monotonic() - started:.0f} s).", flush=True)
