"""Names that become files or folders, and paths that stay below their root.

MLflow before 3 takes any text as the name of a registered model, ``../../home`` too. So names are
checked when they come in (run config, command line, registry), and again when a path is made of
them.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from wine_quality.escaping import ShownError, escaped

_LONGEST = 200
"""Bytes; file systems take 255, and files beside the folder are called after it."""
_VERSION = re.compile(r"[1-9][0-9]{0,9}")
_RUN_ID = re.compile(r"[0-9A-Za-z][0-9A-Za-z_-]{0,63}")


class BadNameError(ShownError, ValueError):
    """The name cannot be used; the message names the field and what a name is."""


def check_model_name(name: str, field: str = "the registered model's name") -> str:
    """A name that MLflow 3 takes and that is one folder: spaces, umlauts and apostrophes are fine.

    Raises:
        BadNameError: it is empty, too long, ``.`` or ``..``, has ``/``, ``\\``, ``:`` or characters
            that cannot be shown, or a space at an end.
    """
    return _check(name, field, "/\\:")


def check_experiment_name(name: str, field: str = "the experiment's name") -> str:
    """A name without characters that cannot be shown; slashes are fine, parts ``..`` are not.

    Raises:
        BadNameError: it is not such a name.
    """
    for part in name.split("/"):
        if part == "..":
            raise _bad(name, field, "may have no part '..'")
    return _check(name, field, "\\")


def check_version_number(text: str, field: str = "the version") -> str:
    """The number of a registered version, as MLflow writes it.

    Raises:
        BadNameError: it is not such a number.
    """
    if not _VERSION.fullmatch(text):
        raise _bad(text, field, "must be the number of a version, such as 3")
    return text


def check_run_id(text: str, field: str = "the MLflow run") -> str:
    """Raises ``BadNameError`` unless it is letters, digits, ``_`` and ``-``."""
    if not _RUN_ID.fullmatch(text):
        raise _bad(text, field, "must be the id of a run")
    return text


def inside(root: Path, *parts: str) -> Path:
    """The path ``root/part/part``, which lies below ``root``, links followed.

    Raises:
        BadNameError: a part leads out of the folder, or is not a name.
    """
    path = root
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            raise BadNameError(f"{part!r} is not a name of a file or folder below {root}.")
        path = path / part
    top, real = os.path.realpath(root), os.path.realpath(path)
    if os.path.commonpath([top, real]) != top or real == top:
        raise BadNameError(f"{path} leads out of {root}: a link stands in its way.")
    return path


def _check(name: str, field: str, forbidden: str) -> str:
    if not name.strip():
        raise _bad(name, field, "must not be empty")
    if name != name.strip():
        raise _bad(name, field, "must not begin or end with white space")
    if name in (".", "..") or not name.isprintable() or any(one in name for one in forbidden):
        shown = ", ".join(forbidden)
        raise _bad(name, field, f"must be printable, other than '.' and '..', and without {shown}")
    if len(name.encode()) > _LONGEST:
        raise _bad(name, field, f"may have {_LONGEST} bytes")
    return name


def _bad(name: str, field: str, rule: str) -> BadNameError:
    return BadNameError(f"{field} is {escaped(name)[:100]!r}, but {rule}.")
