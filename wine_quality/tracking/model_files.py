"""The files of a model: one hash over all of them, taken before they leave this process."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wine_quality.escaping import ShownError

# Written by MLflow's client beside what it downloads.
_NOT_OURS = ("registered_model_meta",)


class UntrustedModelError(ShownError, RuntimeError):
    """The version may not be loaded; the message gives the reason and what to do."""


def model_sha256(folder: Path) -> str:
    """SHA-256 over the name and the content of each file below ``folder``, in the names' order.

    Raises:
        UntrustedModelError: a name has a line break or the like, and could pass for several files.
    """
    whole = hashlib.sha256()
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    for name in files:
        if not name.isprintable():
            raise UntrustedModelError(f"a model has a file called {name!r}, so it is not loaded")
    for name in sorted(name for name, file in files.items() if not file.is_dir()):
        if name not in _NOT_OURS:
            content = hashlib.sha256(files[name].read_bytes()).hexdigest()
            whole.update(f"{content}  {name}\n".encode())
    return whole.hexdigest()


@contextmanager
def hashed_uploads(owner: Any, name: str) -> Iterator[list[str]]:
    """The ``model_sha256`` of each folder that ``owner.name`` is called with meanwhile.

    ``log_model`` writes into a folder of its own and uploads that; no version hands it out.
    """
    before = getattr(owner, name)
    seen: list[str] = []

    def upload(*arguments: Any, **named: Any) -> Any:
        folders = (Path(one) for one in (*arguments, *named.values()) if isinstance(one, str))
        seen.extend(model_sha256(folder) for folder in folders if folder.is_absolute())
        return before(*arguments, **named)

    setattr(owner, name, upload)
    try:
        yield seen
    finally:
        setattr(owner, name, before)
