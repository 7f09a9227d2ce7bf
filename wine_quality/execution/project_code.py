"""The code of a run's job, as the process of another environment imports it.

That environment has this package. Another Dagster project, which only uses it, is installed in an
environment of its own, or lies in a folder that its own process was started with.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from wine_quality.paths import linked_package

_OWN_PACKAGE = __name__.partition(".")[0]
_INSTALLED = ("site-packages", "dist-packages")


@dataclass(frozen=True)
class ProjectCode:
    """The code location that defines a job.

    Attributes:
        is_own: Whether in this package.
        folders: For the ``PYTHONPATH`` of a process that loads the job.
    """

    is_own: bool = True
    folders: tuple[str, ...] = ()

    @classmethod
    def of_job(cls, origin: Any) -> ProjectCode:
        """The code of a ``JobPythonOrigin``. For a job in a module the folder of the top package is
        added; a file is found by Dagster itself."""
        pointer = origin.repository_origin.code_pointer
        folders = [getattr(pointer, "working_directory", None)]
        package = str(getattr(pointer, "module", "") or "").partition(".")[0]
        if package == _OWN_PACKAGE:
            return cls()
        if package:
            folders.append(_folder_of(package))
        return cls(False, tuple(dict.fromkeys(filter(None, folders))))


def _folder_of(package: str) -> str | None:
    """The folder that a package or module of this process is imported from.

    Of an installed one it is a folder with that package alone: ``site-packages`` has others too,
    which another environment must not see.
    """
    spec = importlib.util.find_spec(package)
    if spec is None:
        return None
    if spec.submodule_search_locations:
        place = Path(list(spec.submodule_search_locations)[0])
    elif spec.origin is not None:
        place = Path(spec.origin)
    else:
        return None
    return str(linked_package(place) if place.parent.name in _INSTALLED else place.parent)
