"""The environment of ``make bench-scale``: the ones it compares with are no part of any other."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

from wine_quality.environments.interpreters import find_python, find_uv
from wine_quality.environments.versions import environments_root
from wine_quality.paths import PROJECT_ROOT

LOCK = PROJECT_ROOT / "deploy" / "requirements" / "bench.txt"


def bench_python() -> Path:
    """Its interpreter, built from its lock when that has changed.

    Raises:
        subprocess.CalledProcessError: uv failed; it has said why.
    """
    folder = environments_root() / "bench"
    python, stamp = folder / "bin" / "python", folder / "built-from"
    wanted = hashlib.sha256(LOCK.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != wanted:
        uv = find_uv()
        chosen = find_python(uv, ("3.11", "3.12"))
        subprocess.run([*uv, "venv", "--clear", "--python", chosen, folder], check=True)
        install = [*uv, "pip", "sync", "--require-hashes", "--python", str(python), str(LOCK)]
        subprocess.run(install, check=True)
        stamp.write_text(wanted)
    return python
