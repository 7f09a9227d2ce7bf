"""Lock files as lists of packages, and the images that are built from them."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import LOCK_FILES as FOLDER

_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;([^\\]*))?")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")


@dataclass(frozen=True)
class Pin:
    """One locked package.

    Attributes:
        marker: Where it is installed; empty: everywhere.
        hashes: SHA-256 of each file that may be installed.
    """

    name: str
    version: str
    marker: str
    hashes: tuple[str, ...]


def lock_files() -> list[Path]:
    """All lock files, the test tools' included."""
    return sorted(FOLDER.glob("*.txt"))


def pins(lock: Path) -> list[Pin]:
    """The packages of a lock file, in its order.

    Raises:
        ValueError: a package lacks a hash.
    """
    found: list[Pin] = []
    for line in lock.read_text().splitlines():
        pin, sha256 = _PIN.match(line), _HASH.search(line)
        if pin:
            found.append(Pin(pin[1], pin[2], (pin[3] or "").strip(), ()))
        elif sha256:
            last = found[-1]
            found[-1] = Pin(last.name, last.version, last.marker, (*last.hashes, sha256[1]))
    bare = [pin.name for pin in found if not pin.hashes]
    if bare:
        raise ValueError(f"{lock}: {', '.join(bare)} without a hash")
    return found


def images() -> dict[str, list[Path]]:
    """The lock files in each image, by the image's name in ``deploy``."""
    return {
        **{f"wine-quality-mlflow-{key}": [FOLDER / f"server-{key}.txt"] for key in MLFLOW_VERSIONS},
        "wine-quality-dagster": [version.lock_file for version in MLFLOW_VERSIONS.values()],
        "wine-quality-seaweedfs": [FOLDER / "seaweedfs.txt"],
        **{f"wine-quality-model-{key}": [FOLDER / f"serving-{key}.txt"] for key in MLFLOW_VERSIONS},
    }
