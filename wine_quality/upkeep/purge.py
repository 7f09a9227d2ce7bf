"""MLflow's files to purge: those of runs that a retention retired, and those without a run.

Only what lies where MLflow puts the files of a run or of a logged model is looked at, by the id in
its place; anything else stays.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from wine_quality.stack.settings import StackError
from wine_quality.upkeep.artifact_files import ArtifactFiles
from wine_quality.upkeep.known_runs import Known

# EXPERIMENT/RUN/artifacts/… of a server; without the first in the embedded store.
_OF_A_RUN = re.compile(r"(?:\d+/)?([0-9a-f]{32})/artifacts/")
_OF_A_MODEL = re.compile(r"(?:\d+/)?models/(m-[0-9a-f]{32})/artifacts/")


@dataclass
class Folder:
    """The files of one run, or of one logged model.

    Attributes:
        newest: When the last of them was written, seconds since 1970.
    """

    keys: list[str] = field(default_factory=list)
    bytes: int = 0
    newest: float = 0.0


@dataclass
class Purge:
    """The files to remove, by the id of the run or model (``m-…``).

    Attributes:
        retired: Files of runs that were retired before the limit.
        without_run: Files whose run or model is in no database, all of them older than the limit.
        kept: How many files stay.
        kept_bytes: How large these are together.
    """

    retired: dict[str, Folder] = field(default_factory=dict)
    without_run: dict[str, Folder] = field(default_factory=dict)
    kept: int = 0
    kept_bytes: int = 0


def plan_purge(files: ArtifactFiles, look: Callable[[], Known], before: float) -> Purge:
    """List the files to remove; nothing is changed.

    Args:
        look: Reads all databases whose servers put their files here.
        before: Seconds since 1970; what is younger stays.

    Raises:
        StackError: there are files, and the databases know no run at all.
    """
    folders: dict[str, Folder] = {}
    found = Purge()
    # The files first: each listed file had its run in the database by then.
    for file in files.listed():
        place = _OF_A_RUN.match(file.key) or _OF_A_MODEL.match(file.key)
        if place is None:
            found.kept, found.kept_bytes = found.kept + 1, found.kept_bytes + file.bytes
            continue
        folder = folders.setdefault(place[1], Folder())
        folder.keys.append(file.key)
        folder.bytes += file.bytes
        folder.newest = max(folder.newest, file.modified)
    known = look()
    if folders and not known.runs:
        raise StackError(
            "there are files of runs, and the databases know no run: nothing is removed. Are these "
            "the databases that belong to the files?"
        )
    for name, folder in folders.items():
        if not _goes(name, folder, known, before):
            found.kept += len(folder.keys)
            found.kept_bytes += folder.bytes
        elif _is_unknown(name, known):
            found.without_run[name] = folder
        else:
            found.retired[name] = folder
    return found


def carry_out(
    purge: Purge,
    files: ArtifactFiles,
    look: Callable[[], Known],
    before: float,
    say: Callable[[str], None],
) -> tuple[int, int]:
    """Remove what was planned and may still go; how many files, and their bytes."""
    known = look()  # a run may have been restored, or its model registered, since
    keys: list[str] = []
    size = 0
    for name, folder in [*purge.retired.items(), *purge.without_run.items()]:
        if _goes(name, folder, known, before):
            keys += folder.keys
            size += folder.bytes
        else:
            say(f"{name} is in use now: its files stay.")
    files.remove(keys)
    return len(keys), size


def _goes(name: str, folder: Folder, known: Known, before: float) -> bool:
    if _is_unknown(name, known):
        return folder.newest < before
    return _may_go(name, known, before)


def _may_go(name: str, known: Known, before: float) -> bool:
    """Whether it is a run that may lose its files, or a model that such a run logged."""
    if name.startswith("m-"):
        run = known.models.get(name)
        return bool(run) and name not in known.held_models and _is_retired(run, known, before)
    return _is_retired(name, known, before)


def _is_retired(run: str | None, known: Known, before: float) -> bool:
    return run is not None and known.may_lose_files(run, before)


def _is_unknown(name: str, known: Known) -> bool:
    named = known.held_runs | known.held_models
    return name not in known.runs and name not in known.models and name not in named
