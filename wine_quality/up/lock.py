"""One `make up` per home."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from wine_quality.escaping import ProjectError

_FILE = "up.lock"


class AlreadyUpError(ProjectError, RuntimeError):
    """Another `make up` has this home; the message names its address."""


@contextmanager
def only_one(folders: Iterable[Path]) -> Iterator[Callable[[str], None]]:
    """Hold the lock of each folder, which the kernel releases when this process ends.

    Yields:
        A function that notes this one's address, which a second `make up` prints.

    Raises:
        AlreadyUpError: another process holds one of them.
    """
    with ExitStack() as stack:
        files = []
        for folder in dict.fromkeys(folder.resolve() for folder in folders):
            folder.mkdir(parents=True, exist_ok=True)
            file = stack.enter_context((folder / _FILE).open("a+"))
            _take(file, folder)
            file.truncate(0)
            files.append(file)

        def note(address: str) -> None:
            for file in files:
                file.truncate(0)
                file.write(address)
                file.flush()

        yield note


def _take(file: TextIO, folder: Path) -> None:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.seek(0)
        address = file.read().strip() or "(it is just starting)"
        raise AlreadyUpError(
            f"`make up` runs over {folder} already: {address}. Ctrl-C there ends it; "
            "WINE_QUALITY_HOME=… names another home."
        ) from None
