"""Paths that Alembic, SQLAlchemy and MLflow take for paths. Standard library only."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path


def usable_path(folder: Path) -> Path:
    """``folder``, or a link to it where its own path has a ``%`` or a ``?``.

    Alembic, SQLAlchemy and MLflow read paths as templates and URLs: in ``x_feature%2Fb``, as CI
    calls its workspaces, Dagster can open no sqlite store. The link has the same name every time,
    for MLflow keeps the paths of files, and is made anew when it is gone.

    Args:
        folder: Where it needs a link it is made, for nothing can be made below a link to nothing.

    Raises:
        OSError: it cannot be made, or no place is writable in which the link could lie.
    """
    if not is_unusable(folder):
        return folder
    folder = folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    link = _own_folder("links") / _name_of(folder)
    with suppress(OSError):
        if os.readlink(link) == str(folder):
            return link
    set_link(link, folder)
    return link


def set_link(link: Path, target: Path) -> None:
    """Have a link lead there, by one rename: others may be making it at the same moment."""
    fresh = link.with_name(f".{link.name}.{os.getpid()}-{threading.get_ident()}")
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(target)
    fresh.replace(link)


def usable_folder(folder: Path) -> Path:
    """``folder``, or where it leads, or another one in the user's cache in its place.

    For what is looked up by its real path, so that a link does not help. Errors as those of
    ``usable_path``.
    """
    if not is_unusable(folder):
        return folder
    real = folder.resolve()
    return _own_folder("folders") / _name_of(real) if is_unusable(real) else real


def is_unusable(folder: Path) -> bool:
    """Whether a path is one that is read as a template or a URL."""
    return any(sign in str(folder) for sign in "%?")


def _name_of(folder: Path) -> str:
    return hashlib.sha256(str(folder).encode(errors="surrogateescape")).hexdigest()[:16]


def _own_folder(name: str) -> Path:
    """A folder of this user alone: anyone who can change a link controls where it leads."""
    problem = OSError("$HOME is not set")
    for parent in _user_folders():
        try:
            return _made(parent / name)
        except OSError as error:
            problem = error
    raise OSError(
        f"the path of the project or its home has a % or a ?, and no place for a link is usable "
        f"({problem}): move it, or set $WINE_QUALITY_HOME and $XDG_CACHE_HOME"
    )


def _user_folders() -> Iterator[Path]:
    with suppress(RuntimeError):  # a user without a home
        yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "wine_quality"
    yield Path(tempfile.gettempdir()) / f"wine-quality-{os.getuid()}"


def _made(folder: Path) -> Path:
    if is_unusable(folder):
        raise OSError(f"{folder} has a % or a ? too")
    # One by one: what `parents` makes has the mode of the umask.
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    for one in (folder.parent, folder):
        found = one.lstat()
        own = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
        if not own or found.st_mode & 0o022:
            raise OSError(f"{one} is not of this user alone")
    return folder
