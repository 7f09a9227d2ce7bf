"""The parts of the code location's home in a backup: the accepted files, and the signing key."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Protocol

from wine_quality.paths import history_location
from wine_quality.tracking.registry.signing_key import add_keys, key_file


class Home(Protocol):
    """The folder of the code location's own files."""

    def signing_keys(self) -> str:
        """The keys that sign model versions or are accepted; empty when there are none yet."""

    def accept(self, keys: str, origin: str) -> str:
        """Have the code location accept these too; returns what is left to do, in words."""

    def history(self) -> AbstractContextManager[Path | None]:
        """A folder with the files that remember what was accepted, to read; None where a bucket
        holds them."""

    def replace_history(self) -> AbstractContextManager[Path | None]:
        """An empty folder to fill, which takes the place of the history at the end of the ``with``;
        None where a bucket holds it."""


class LocalHome:
    """``$WINE_QUALITY_HOME`` of this machine."""

    def signing_keys(self) -> str:
        return key_file().read_text() if key_file().exists() else ""

    def accept(self, keys: str, origin: str) -> str:
        add_keys(keys, origin, sign_with_them=False)
        return ""

    @contextmanager
    def history(self) -> Iterator[Path | None]:
        yield _history_folder()

    @contextmanager
    def replace_history(self) -> Iterator[Path | None]:
        folder = _history_folder()
        if folder is None:
            yield None
            return
        fresh = folder.with_name(f"{folder.name}.restoring")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        try:
            yield fresh
            folder.mkdir(exist_ok=True)  # it may be a mount, which cannot be renamed
            for path in list(folder.iterdir()):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
            for path in list(fresh.iterdir()):
                shutil.move(path, folder / path.name)
        finally:
            shutil.rmtree(fresh, ignore_errors=True)


def _history_folder() -> Path | None:
    """The folder of the accepted files; None where a bucket holds them."""
    place = history_location()
    return None if "://" in place else Path(place)
