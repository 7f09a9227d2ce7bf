"""The finished steps of an upgrade, so that an interrupted one continues from there."""

from __future__ import annotations

import fcntl
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from wine_quality.upgrades.errors import UpgradeError

FORMAT = 1
_FILE = "progress.json"


class Progress:
    """The working folder of one upgrade and the steps in it that are done.

    Args:
        folder: Of this upgrade alone; it is made.
        source: Fingerprint of the store that is upgraded. With another fingerprint (another store,
            or the same one after a write), the upgrade starts from the first step.
    """

    def __init__(self, folder: Path, source: str) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        found = read_progress(folder)
        self.is_resumed = found.get("source") == source and bool(found.get("done"))
        self._state: dict[str, Any] = {"format": FORMAT, "source": source, "done": []}
        if found.get("source") == source:
            self._state = found
            return
        for left in folder.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        self._write()

    def is_done(self, step: str) -> bool:
        return step in self._state["done"]

    def note(self, step: str, **facts: Any) -> None:
        """The step is done; facts are kept with it."""
        self._state["done"].append(step)
        self._state.update(facts)
        self._write()

    def fact(self, name: str) -> Any:
        """A fact that was kept by ``note``."""
        return self._state[name]

    def _write(self) -> None:
        write_whole(self.folder / _FILE, json.dumps(self._state, indent=1))


def read_progress(folder: Path) -> dict[str, Any]:
    """The progress in a working folder; empty when there is none, or it has another format."""
    try:
        found = json.loads((folder / _FILE).read_text())
    except (OSError, ValueError):
        return {}
    return found if found.get("format") == FORMAT else {}


def forget_progress(folder: Path) -> None:
    """Delete the progress, so that an upgrade starts anew; the report stays."""
    (folder / _FILE).unlink(missing_ok=True)


def write_whole(path: Path, text: str) -> None:
    """Write a file as a whole: after a failure it has its old content."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.write_text(text)
    fresh.replace(path)


@contextmanager
def appending(path: Path) -> Iterator[IO[str]]:
    """Open a file to append lines. The first one begins on a line of its own: the last line may be
    cut off, by a killed process or a full disk."""
    there = path.read_bytes() if path.exists() else b""
    with path.open("a") as kept:
        if there and not there.endswith(b"\n"):
            kept.write("\n")
        yield kept


@contextmanager
def only_one(folder: Path, command: str) -> Iterator[None]:
    """Hold the lock of a command on a folder, which is made when it is missing.

    Raises:
        UpgradeError: another one does.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UpgradeError(f"another `{command}` is at work here; wait for it.") from None
        yield
