"""Which processes have a file open (Linux)."""

from __future__ import annotations

import os
from pathlib import Path

_SHOWN = 120


def opened_by(file: Path) -> list[str]:
    """The processes that have it open, as ``process 17 (mlflow server …)``; this one excepted.

    Those of other users are seen by root only; nobody is seen where there is no ``/proc``.
    """
    try:
        wanted = file.stat()
    except OSError:
        return []
    found = []
    for process in sorted(Path("/proc").glob("[0-9]*"), key=lambda one: int(one.name)):
        if int(process.name) != os.getpid() and _has_open(process, wanted):
            found.append(f"process {process.name} ({_command(process)})")
    return found


def _has_open(process: Path, wanted: os.stat_result) -> bool:
    try:
        descriptors = list((process / "fd").iterdir())
    except OSError:
        return False  # of another user, or gone
    for descriptor in descriptors:
        try:
            if os.path.samestat(descriptor.stat(), wanted):
                return True
        except OSError:
            continue
    return False


def _command(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return "gone"
    return " ".join(words).strip()[:_SHOWN]
