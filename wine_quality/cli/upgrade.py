"""``make upgrade FROM=1.26 TO=3``: a version's store, taken over to a newer one, and back."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.cli.exits import BAD_USE, INTERRUPTED, fail, interrupt_on, is_of_a_store, show
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    MLFLOW_VERSIONS,
    EnvironmentMissingError,
    get_version,
)
from wine_quality.paths import (
    CheckoutMissingError,
    dagster_home_in_use,
    embedded_store,
    home,
    require_checkout,
)
from wine_quality.stack.platform import stack_folder
from wine_quality.tracking.servers.embedded_store import DATABASE

if TYPE_CHECKING:
    from wine_quality.upgrades.place import Place

_GOES_ON = (
    "The old store is as it was, and nothing was put in place. If a disk is full, free some room; "
    "then give the same command again: it goes on from here."
)


def add_options(command: argparse.ArgumentParser) -> None:
    known = list(MLFLOW_VERSIONS)
    command.add_argument("source", choices=known, help="MLflow version that has it")
    command.add_argument("target", choices=known, help="MLflow version to get it")
    doing = command.add_mutually_exclusive_group()
    text = "do it, on a copy; else: only show"
    doing.add_argument("--apply", action="store_true", help=text)
    doing.add_argument("--undo", action="store_true", help="put the new store aside, go back")
    stores = ["embedded", "stack", "compose"]
    text = "which one (embedded); compose: of the platform in containers"
    command.add_argument("--store", choices=stores, default="embedded", help=text)
    command.add_argument("--project", default="dh", help="of compose (dh)")
    text = "also while MLflow runs are under way"
    command.add_argument("--with-open-runs", action="store_true", help=text)
    text = "also where a model predicts otherwise"
    command.add_argument("--accept-differences", action="store_true", help=text)
    text = "undo also what was tracked since"
    command.add_argument("--with-new-runs", action="store_true", help=text)


def upgrade(options: argparse.Namespace) -> int:
    """0 when it is done or undone, or a dry run found nothing in the way; 1 when not, 2 on bad
    use."""
    from wine_quality.stack.settings import StackError
    from wine_quality.upgrades.errors import UpgradeError
    from wine_quality.upgrades.plan import require_newer

    interrupt_on(signal.SIGTERM)
    try:
        source, target = get_version(options.source), get_version(options.target)
        require_newer(source, target)
        for version in (source, target):
            require_built(version)
    except (ValueError, EnvironmentMissingError, UpgradeError) as error:
        return fail(error, BAD_USE)
    try:
        return _upgrade(options)
    except (UpgradeError, StackError, CheckoutMissingError) as error:
        return fail(error)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on from here", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if not is_of_a_store(error):
            raise
        return fail(f"{type(error).__name__}: {error}. {_GOES_ON}")


def _upgrade(options: argparse.Namespace) -> int:
    from wine_quality.upgrades.plan import make_plan
    from wine_quality.upgrades.progress import forget_progress, only_one
    from wine_quality.upgrades.report import REPORT, plan_lines, report_lines
    from wine_quality.upgrades.undo import undo_upgrade
    from wine_quality.upgrades.upgrade import Upgrade, was_finished

    everything = home() / "upgrades"
    store = options.store if options.store != "compose" else f"compose-{options.project}"
    folder = everything / f"{store}-{options.source}-to-{options.target}"
    with only_one(everything, "make upgrade"), _place(options, folder) as place:
        if options.undo:
            undo_upgrade(place, folder, show, options.with_new_runs)
            return 0
        plan = make_plan(place, options.with_open_runs)
        done = was_finished(place, folder)
        if done and place.target_database() is not None:
            show(f"It was done before; what came of it: {folder / REPORT}.")
            if options.apply:
                return 0
        show("\n".join(plan_lines(place, plan)))
        if not options.apply:
            if options.command == "upgrade":
                show("\nA dry run: nothing was changed. ARGS=--apply does it, on a copy.")
            return 1 if plan.obstacles else 0
        if plan.obstacles:
            return fail("nothing was changed, see above")
        if done:  # and its store was removed or moved away since
            forget_progress(folder)
        show("")
        doing = Upgrade(place, folder, show, options.accept_differences)
        report, file = doing.carry_out()
        show("\n".join(report_lines(report, file)))
    return 0


@contextmanager
def _place(options: argparse.Namespace, folder: Path) -> Iterator[Place]:
    """The stores, which nobody else opens meanwhile."""
    pick = _embedded if options.store == "embedded" else _of_platform
    with pick(options, folder) as place:
        yield place


@contextmanager
def _of_platform(options: argparse.Namespace, folder: Path) -> Iterator[Place]:
    from wine_quality.upgrades.errors import UpgradeError
    from wine_quality.upgrades.stack_databases import StackDatabases
    from wine_quality.upkeep import container_services, data_services

    require_checkout("upgrade")
    source, target = get_version(options.source), get_version(options.target)
    # A dry run looks at a stack that is up, too; containers are stopped here.
    is_up, state = False, "stopped" if _writes(options) else "running"
    if options.store == "compose":
        opened = getattr(container_services, state)(options.project, show)
    else:
        if not (stack_folder() / "postgres").exists():
            raise UpgradeError(f"there is no stack in {home()}.")
        is_up = data_services.is_up()
        opened = getattr(data_services, state)(_quiet)
    with opened as services, data_services.only_upkeep(services.folder):
        named = options.store if options.project == "dh" else f"compose --project {options.project}"
        yield StackDatabases(source, target, folder, services, is_up, named)


@contextmanager
def _embedded(options: argparse.Namespace, folder: Path) -> Iterator[Place]:
    from wine_quality.up.lock import AlreadyUpError, only_one
    from wine_quality.upgrades.embedded import EmbeddedStores
    from wine_quality.upgrades.errors import UpgradeError

    source, target = get_version(options.source), get_version(options.target)
    database = embedded_store(source.key) / DATABASE
    if not database.exists():
        stack = (
            ", but a stack: ARGS=--store=stack" if (stack_folder() / "postgres").exists() else ""
        )
        raise UpgradeError(f"there is no embedded store of MLflow {source.key} in {home()}{stack}.")
    stores = EmbeddedStores(source, target, folder)
    try:
        with only_one([home(), dagster_home_in_use()]):
            if not _writes(options):
                yield stores
                return
            with stores.kept_from_others():
                yield stores
    except AlreadyUpError as error:
        raise UpgradeError(str(error)) from None


def _quiet(line: str) -> None:
    """Print nothing of PostgreSQL and S3, which are started for a while."""


def _writes(options: argparse.Namespace) -> bool:
    """Whether it changes stores; else it is a dry run, which may look at stores in use."""
    return bool(options.apply or options.undo)
