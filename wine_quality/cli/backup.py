"""``make backup TO=…`` and ``make restore FROM=…``, of the local stack or of containers."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from wine_quality.environments.mlflow_versions import EnvironmentMissingError
from wine_quality.paths import CheckoutMissingError, require_checkout
from wine_quality.stack.settings import StackError

if TYPE_CHECKING:
    from wine_quality.upkeep.data_services import DataServices


def backup(options: argparse.Namespace) -> int:
    """Exit code 0 when done, 1 when not; the reason is on stderr."""
    from wine_quality.upkeep import backup as copy
    from wine_quality.upkeep import restore
    from wine_quality.upkeep.data_services import only_upkeep

    # A stack that is started here must be stopped, whatever ends this.
    # A shell that starts this in the background has SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    folder = Path(options.folder).resolve()
    try:
        require_checkout(options.command)
        if options.command == "backup":
            with (
                platform(options, "running") as services,
                only_upkeep(services.folder),
            ):
                manifest = copy.back_up(services, folder, _say)
        else:
            manifest = restore.verify(folder)
            with platform(options, "stopped") as services:
                restore.restore(services, folder, manifest, options.overwrite, _say)
    except (StackError, EnvironmentMissingError, CheckoutMissingError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        again = {
            "backup": f"interrupted: {folder} is no backup; remove it, then try again",
            "restore": "interrupted: the same command, again, does it all anew",
        }
        print(f"\n{again[options.command]}", file=sys.stderr)
        return 130
    databases, objects = manifest["databases"], manifest["objects"]
    print(f"""
backup         {folder}, of {manifest["began"]}
databases      {len(databases)}, {sum(said["bytes"] for said in databases.values())} bytes
objects        {objects["number"]}, {objects["bytes"]} bytes""")
    if options.command == "restore" and options.on == "stack":
        print("Start it: make stack (with the versions it had)")
    return 0


def platform(options: argparse.Namespace, state: str) -> AbstractContextManager[DataServices]:
    """The data services that ``options.on`` names, ``running`` or ``stopped``."""
    if options.on == "compose":
        from wine_quality.upkeep import container_services

        return getattr(container_services, state)(options.project, _say)
    from wine_quality.upkeep import data_services

    return getattr(data_services, state)(_say)


def _say(line: str) -> None:
    print(line, flush=True)


def _interrupt(*_: object) -> NoReturn:
    raise KeyboardInterrupt
