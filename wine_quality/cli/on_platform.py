"""``--on`` of commands that work on the local stack or on the platform in containers."""

from __future__ import annotations

import argparse
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from wine_quality.cli.exits import show

if TYPE_CHECKING:
    from wine_quality.upkeep.data_services import DataServices


def add_platform(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--on",
        choices=["stack", "compose"],
        default="stack",
        help="compose: on the platform in containers (else: on this machine's stores)",
    )
    command.add_argument("--project", default="dh", help="of compose (dh)")


def platform(options: argparse.Namespace, state: str) -> AbstractContextManager[DataServices]:
    """The data services that ``options.on`` names, ``running`` or ``stopped``."""
    if options.on == "compose":
        from wine_quality.upkeep import container_services

        return getattr(container_services, state)(options.project, show)
    from wine_quality.upkeep import data_services

    return getattr(data_services, state)(show)
