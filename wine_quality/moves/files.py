"""Files of a run or a logged model: listed, fetched, sent, and compared by SHA-256.

By the artifact repository of the address itself: what MLflow 3's client lists for a run holds the
files of its logged models too, which have addresses of their own.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wine_quality.escaping import ShownError
from wine_quality.upkeep.backup import sha256_of


class FilesDifferError(ShownError, RuntimeError):
    """The files that arrived differ from those that were sent; names them."""


def fetch(address: str, folder: Path) -> dict[str, str]:
    """Download all files at an address into a folder.

    Returns:
        SHA-256 by path.

    Raises:
        FilesDifferError: some that are listed did not come, or in another size.
        Exception: MLflow's own, or its artifact store's.
    """
    store = _repository(address)
    listed = dict(_listed(store, None))
    folder.mkdir(parents=True, exist_ok=True)
    if not listed:
        return {}
    store.download_artifacts("", str(folder))
    there = {path.relative_to(folder).as_posix(): path for path in _files(folder)}
    lacking = [
        name
        for name, size in sorted(listed.items())
        if name not in there or (size is not None and there[name].stat().st_size != int(size))
    ]
    if lacking:
        raise FilesDifferError(f"not fetched whole: {', '.join(lacking)}")
    return {name: sha256_of(path) for name, path in sorted(there.items())}


def send(folder: Path, address: str, wanted: dict[str, str]) -> None:
    """Upload the files of a folder to an address, and read them again there.

    Args:
        folder: Empty after it: they are removed when they were sent.
        wanted: SHA-256 by path.

    Raises:
        FilesDifferError: what is there afterwards is not what was wanted.
        Exception: MLflow's own, or its artifact store's.
    """
    store = _repository(address)
    if wanted:
        store.log_artifacts(str(folder))
        for path in list(_files(folder)):
            path.unlink()
    with tempfile.TemporaryDirectory(dir=folder.parent) as again:
        require_same(wanted, fetch(address, Path(again)))


def require_same(wanted: dict[str, str], found: dict[str, str]) -> None:
    """Raises ``FilesDifferError`` unless they are the same files with the same content."""
    differing = sorted(name for name in {*wanted, *found} if wanted.get(name) != found.get(name))
    if differing:
        raise FilesDifferError(f"files differ after they were sent: {', '.join(differing)}")


def _listed(store: Any, folder: str | None) -> Iterator[tuple[str, int | None]]:
    for found in store.list_artifacts(folder):
        if found.is_dir:
            yield from _listed(store, found.path)
        else:
            yield found.path, found.file_size


def _files(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*") if not path.is_dir())


def _repository(address: str) -> Any:
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    return get_artifact_repository(address)
