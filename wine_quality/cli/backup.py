"""``backup``: copy the databases and buckets of the local stack or of containers."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wine_quality.cli.exits import INTERRUPTED, fail, interrupt_on, is_of_a_store, show
from wine_quality.cli.on_platform import add_platform, platform
from wine_quality.paths import CheckoutMissingError, require_checkout


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("folder", help="folder to write to, new or empty")
    add_platform(command)


def backup(options: argparse.Namespace) -> int:
    """Exit code 0 when done, 1 when not; the reason is on stderr."""

    def back_up(folder: Path) -> dict[str, Any]:
        from wine_quality.upkeep import backup as copy
        from wine_quality.upkeep.data_services import only_upkeep

        with platform(options, "running") as services, only_upkeep(services.folder):
            return copy.back_up(services, folder, show)

    again = "interrupted: {folder} is not a backup; remove it, then try again"
    return copy_data(options, back_up, again)


def copy_data(
    options: argparse.Namespace, copy: Callable[[Path], dict[str, Any]], interrupted: str
) -> int:
    """Of ``backup`` and ``restore``: copy, and print what the backup has.

    Args:
        copy: Gets the backup's folder and returns its manifest.
        interrupted: Printed after Ctrl-C.
    """
    from wine_quality.environments.mlflow_versions import EnvironmentMissingError
    from wine_quality.stack.settings import StackError

    # A stack that is started here must be stopped, also on an error or a signal.
    interrupt_on(signal.SIGINT, signal.SIGTERM)
    folder = Path(options.folder).resolve()
    try:
        require_checkout(options.command)
        manifest = copy(folder)
    except (StackError, EnvironmentMissingError, CheckoutMissingError, ValueError) as error:
        return fail(error)
    except KeyboardInterrupt:
        print(f"\n{interrupted.format(folder=folder)}", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not is_of_a_store(error):
            raise
        return fail(f"{type(error).__name__}: {error}")
    databases, objects = manifest["databases"], manifest["objects"]
    print(f"""
backup         {folder}, of {manifest["began"]}
databases      {len(databases)}, {sum(one["bytes"] for one in databases.values())} bytes
objects        {objects["number"]}, {objects["bytes"]} bytes""")
    return 0
