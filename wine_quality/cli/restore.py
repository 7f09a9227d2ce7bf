"""``restore``: a backup into a stopped local stack or stopped containers."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from wine_quality.cli.backup import copy_data
from wine_quality.cli.exits import show
from wine_quality.cli.on_platform import add_platform, platform


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", help="folder that `backup` wrote")
    command.add_argument("--overwrite", action="store_true", help="replace the stack's data")
    add_platform(command)


def restore(options: argparse.Namespace) -> int:
    """Exit code 0 when done, 1 when not; the reason is on stderr."""

    def restore_from(folder: Path) -> dict[str, Any]:
        from wine_quality.upkeep import restore as copy

        manifest = copy.verify(folder)
        with platform(options, "stopped") as services:
            copy.restore(services, folder, manifest, options.overwrite, show)
        return manifest

    code = copy_data(
        options, restore_from, "interrupted: the same command, again, does it all anew"
    )
    if code == 0 and options.on == "stack":
        print("Start it: make stack (with the versions it had)")
    return code
