"""Shared by the renewals, which take the local stack's data over to another PostgreSQL, store or
Dagster: a backup first, then the new data beside the old one, compared with it, and at once in its
place. Until then `make stack` starts what was there. The old data is kept.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wine_quality.stack.platform import stack_folder
from wine_quality.stack.service import Service
from wine_quality.stack.settings import StackError
from wine_quality.stack.supervisor import Supervisor
from wine_quality.upkeep.backup import back_up, require_new
from wine_quality.upkeep.data_services import DataServices, kept_down, only_upkeep
from wine_quality.upkeep.restore import UNFINISHED

Say = Callable[[str], None]


@contextmanager
def ready_to_renew(folder: Path) -> Iterator[dict[str, str]]:
    """The settings of the stack, which stays down meanwhile and is whole."""
    require_new(folder)
    with kept_down() as settings:
        require_whole(stack_folder())
        yield settings


def require_whole(folder: Path) -> None:
    """Raises ``StackError`` where a restore into the platform of this folder is half done."""
    marker = folder / UNFINISHED
    if marker.exists():
        raise StackError(
            "a restore into this stack was interrupted; finish it first: make restore "
            f"FROM={marker.read_text()}"
        )


def backed_up(services: DataServices, folder: Path, say: Say) -> dict[str, Any]:
    """The manifest of a new backup; one that fails or is interrupted is removed."""
    with only_upkeep(services.folder):
        try:
            return back_up(services, folder, say)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise


@contextmanager
def running(services: Iterable[Service], say: Say, *temporary: str) -> Iterator[None]:
    """Have them run in this ``with``.

    Args:
        temporary: Folders that are removed should this process be killed.
    """
    supervisor = Supervisor(services, stack_folder(), say, {"temporary": temporary})
    try:
        supervisor.start()
        yield
    finally:
        supervisor.stop()


def swap_back(place: Path, kept: Path) -> str:
    """The command that puts the old data back."""
    return f"make stack-down && mv {place} {place}-new && mv {kept} {place}"


def remove(folders: Iterable[Path]) -> None:
    """Remove folders with all that is in them."""
    for folder in folders:
        shutil.rmtree(folder)
