"""The tests' temporary files in memory, where there is room for them.

A Dagster run is some hundred small commits into sqlite, and each waits until the disk has it. With
three test files at a time that wait is a large part of the suite's time.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

IN_MEMORY = Path("/dev/shm")
ROOM = 8 << 30
"""Bytes that must be free: the tests build environments of 1.2 GB, and keep a few GB besides."""


# Short: the path of a Unix socket below it may have 107 characters.
_PREFIX = "wq-"


def make_memory_folder() -> Path | None:
    """A new folder in memory that ``tempfile`` uses from now on, here and in child processes.

    None, and nothing is changed: where $TMPDIR names a folder, where there is no such file system
    or less than ``ROOM`` in it, and where its programs may not be executed.
    """
    if os.environ.get("TMPDIR") or not os.access(IN_MEMORY, os.W_OK):
        return None
    state = os.statvfs(IN_MEMORY)
    if state.f_bavail * state.f_frsize < ROOM or state.f_flag & os.ST_NOEXEC:
        return None
    if _free_memory() < ROOM:
        return None
    _remove_those_of_dead_processes()
    folder = IN_MEMORY / f"{_PREFIX}{os.getpid()}"
    # PostgreSQL's user passes through; what is in it has permissions of its own.
    folder.mkdir(mode=0o711)
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    return folder


def remove_memory_folder(folder: Path) -> None:
    """Give the memory back."""
    shutil.rmtree(folder, ignore_errors=True)


def _remove_those_of_dead_processes() -> None:
    """Tests that were killed could not give theirs back."""
    for folder in IN_MEMORY.glob(f"{_PREFIX}*"):
        process = folder.name.removeprefix(_PREFIX)
        if process.isdigit() and not Path("/proc", process).exists():
            remove_memory_folder(folder)


def _free_memory() -> int:
    """Bytes that can be used without swapping (Linux)."""
    for line in Path("/proc/meminfo").read_text().splitlines():
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) << 10
    return 0
