"""Store once what environments have in common: ``python3 -m wine_quality.environments share``.

The image of Dagster is built so: the environments of all MLflow versions lie in one layer, and much
of what is in them is the same. An environment whose files are shared is not to be changed any more,
for a change would be one of the others too. Standard library only, as all of this package.
"""

from __future__ import annotations

import filecmp
import os
from collections.abc import Iterable, Iterator
from pathlib import Path

_CACHE = "__pycache__"


def share_files(environments: Iterable[Path]) -> int:
    """Make equal files at the same place of several environments hard links of one file.

    Args:
        environments: Folders of virtual environments, on one file system.

    Returns:
        Bytes that are stored once less.
    """
    seen: dict[Path, list[Path]] = {}
    saved = 0
    for environment in environments:
        for packages in sorted(environment.glob("lib/python*/site-packages")):
            for file in _sources_first(packages):
                place = Path(packages.parent.name, file.relative_to(packages))
                others = seen.setdefault(place, [])
                same = next((other for other in others if _is_same(file, other)), None)
                if same is None:
                    others.append(file)
                elif not file.samefile(same):
                    saved += file.stat().st_size
                    _link(same, file)
    return saved


def _sources_first(folder: Path) -> Iterator[Path]:
    """Its files, compiled ones after those that they were compiled from."""
    compiled = []
    for base, _folders, names in os.walk(folder):
        files = [Path(base, name) for name in sorted(names)]
        regular = [file for file in files if not file.is_symlink()]
        if Path(base).name == _CACHE:
            compiled += regular
        else:
            yield from regular
    yield from compiled


def _is_same(file: Path, other: Path) -> bool:
    source, of_other = _source(file), _source(other)
    if source and of_other and source.exists() and of_other.exists():
        # They differ in the path that they name, which Python puts right when it loads one. It does
        # compare the time and the size of the source, which linked ones have in common.
        return source.samefile(of_other)
    one, two = file.stat(), other.stat()
    return (one.st_size, one.st_mode) == (two.st_size, two.st_mode) and filecmp.cmp(
        file, other, shallow=False
    )


def _source(file: Path) -> Path | None:
    """The source that a file in ``__pycache__`` was compiled from; None for other files."""
    if file.parent.name != _CACHE:
        return None
    return file.parent.with_name(f"{file.name.partition('.')[0]}.py")


def _link(target: Path, file: Path) -> None:
    beside = file.with_name(f"{file.name}.shared")
    os.link(target, beside)
    beside.replace(file)
