"""``make move FROM=1.26 TO=3``: what one MLflow server or store has, copied to another."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, closing
from typing import TYPE_CHECKING

from wine_quality.cli.exits import BAD_USE, INTERRUPTED, fail, interrupt_on, show
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    MLFLOW_VERSIONS,
    EnvironmentMissingError,
    get_version,
)
from wine_quality.escaping import escaped
from wine_quality.paths import home

if TYPE_CHECKING:
    from wine_quality.moves.inventory import Inventory
    from wine_quality.moves.sides import Side

_SHOWN = 5


def add_options(command: argparse.ArgumentParser) -> None:
    for name, text in (("source", "copy from"), ("target", "copy to")):
        choices = list(MLFLOW_VERSIONS)
        command.add_argument(name, choices=choices, help=f"MLflow version to {text}")
    command.add_argument("--apply", action="store_true", help="do it; else: only show")
    for name, whose in (("--from-uri", "source"), ("--to-uri", "target")):
        text = f"the {whose}'s server (its version's variable, or embedded)"
        command.add_argument(name, help=text)
    text = "also while MLflow runs are under way"
    command.add_argument("--with-open-runs", action="store_true", help=text)


def move(options: argparse.Namespace) -> int:
    """0 when all is there, or a dry run found nothing in the way; 1 when not, 2 on bad use."""
    from wine_quality.moves.errors import MoveError
    from wine_quality.moves.sides import require_not_older, source_and_target
    from wine_quality.upgrades.errors import UpgradeError

    interrupt_on(signal.SIGTERM)
    try:
        source, target = get_version(options.source), get_version(options.target)
        require_not_older(source, target)
        for version in (source, target):
            require_built(version)
        sides = source_and_target(source, target, options.from_uri, options.to_uri)
    except (ValueError, EnvironmentMissingError, UpgradeError, MoveError) as error:
        return fail(error, BAD_USE)
    try:
        return _move(options, sides)
    except (MoveError, UpgradeError) as error:
        return fail(error)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", file=sys.stderr)
        return INTERRUPTED


def _move(options: argparse.Namespace, sides: tuple[Side, Side]) -> int:
    from wine_quality.moves.conversation import Conversation
    from wine_quality.moves.inventory import Inventory
    from wine_quality.moves.move import Move
    from wine_quality.moves.report import plan_lines, report_lines
    from wine_quality.tracking.registry.loadable import PICKLE, SKOPS, VARIABLE
    from wine_quality.upgrades.progress import only_one

    source, target = sides
    folder = home() / "moves" / f"{options.source}-to-{options.target}"
    with only_one(folder, "make move"), ExitStack() as processes:
        log = folder / "mlflow.log"
        log.unlink(missing_ok=True)
        # Nothing is loaded there; a valid signature is made anew for a model of any format.
        formats = {str(VARIABLE): f"{SKOPS},{PICKLE}"}
        first = processes.enter_context(closing(Conversation(source, log)))
        second = None
        if target.is_made or options.apply:
            second = processes.enter_context(closing(Conversation(target, log, formats)))
        show(f"reading {source.title}")
        has = Inventory.of(first)
        before = Inventory()
        if second is not None:
            show(f"reading {target.title}")
            before = Inventory.of(second)
        show("\n".join(plan_lines(has, before)))
        obstacle = "" if options.with_open_runs else _under_way(has)
        if obstacle:
            return fail(obstacle)
        if not options.apply or second is None:
            show("\nA dry run: nothing was changed. ARGS=--apply copies what is not there.")
            return 0
        report, file = Move(sides, (first, second), has, folder, show).carry_out(before)
        show("\n".join(report_lines(report, file)))
        return 1 if report.not_carried else 0


def _under_way(has: Inventory) -> str:
    """A sentence on the open runs that stop the move; empty when there are none."""
    runs = has.open_runs()
    if not runs:
        return ""
    number = "1 run is" if len(runs) == 1 else f"{len(runs)} runs are"
    return escaped(
        f"{number} under way ({'; '.join(runs[:_SHOWN])}). Wait, or end them. Are they none that "
        "anybody works on any more: ARGS=--with-open-runs copies them as they are"
    )
