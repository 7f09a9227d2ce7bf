"""``make gc``: the files of retired runs, and those without a run, in every local store."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path

from wine_quality.cli.exits import INTERRUPTED, fail
from wine_quality.cli.on_platform import add_platform, platform
from wine_quality.cli.options import days
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, EnvironmentMissingError
from wine_quality.escaping import escaped
from wine_quality.paths import embedded_store
from wine_quality.stack.platform import stack_folder
from wine_quality.stack.settings import StackError
from wine_quality.upkeep.artifact_files import ArtifactFiles, BucketFiles, FolderFiles
from wine_quality.upkeep.known_runs import Known
from wine_quality.upkeep.purge import Purge, carry_out, plan_purge

_SHOWN = 20
_SECONDS_IN_A_DAY = 24 * 3600


def add_options(command: argparse.ArgumentParser) -> None:
    text = "age in days of what is old (7)"
    command.add_argument("--days", type=days, default=7, help=text)
    text = "remove them (without it: only show)"
    command.add_argument("--delete", action="store_true", help=text)
    add_platform(command)


def gc(options: argparse.Namespace) -> int:
    """Exit code 0 when done, 1 when not; the reason is on stderr."""
    before = time.time() - options.days * _SECONDS_IN_A_DAY
    try:
        with ExitStack() as stack:
            number = 0
            for name, files, look in _stores(stack, options):
                _one(name, files, look, before, options)
                number += 1
    except (StackError, EnvironmentMissingError, RuntimeError) as error:
        return fail(error)
    except KeyboardInterrupt:
        print("\ninterrupted: the same command goes on with what is left", file=sys.stderr)
        return INTERRUPTED
    if not number:
        print("there is no local store; for servers elsewhere there is `mlflow gc`")
    elif not options.delete:
        print("\na dry run: ARGS=--delete removes them")
    return 0


def _stores(
    stack: ExitStack, options: argparse.Namespace
) -> Iterator[tuple[str, ArtifactFiles, Callable[[], Known]]]:
    """Each place of files, with what reads all databases that belong to it."""
    for key in MLFLOW_VERSIONS if options.on == "stack" else ():
        folder = embedded_store(key)
        if (folder / "mlflow.db").exists():
            look = sqlite_reader(folder / "mlflow.db")
            yield f"embedded store of MLflow {key}", FolderFiles(folder / "artifacts"), look
    if options.on == "compose" or (stack_folder() / "postgres").exists():
        from wine_quality.upkeep.data_services import only_upkeep

        services = stack.enter_context(platform(options, "running"))
        stack.enter_context(only_upkeep(services.folder))

        def read_known_runs() -> Known:
            known = Known()
            for database in services.mlflow_databases().values():
                with closing(services.connect(database)) as connection:
                    known.add(connection)
            return known

        # One bucket for the servers of all versions.
        yield options.on, BucketFiles(*services.buckets()["mlflow"]), read_known_runs


def sqlite_reader(path: Path) -> Callable[[], Known]:
    """A function that reads what the sqlite database of one server knows."""

    def look() -> Known:
        known = Known()
        with closing(
            sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True, timeout=30)
        ) as connection:
            known.add(connection)
        return known

    return look


def _one(
    name: str,
    files: ArtifactFiles,
    look: Callable[[], Known],
    before: float,
    options: argparse.Namespace,
) -> None:
    began = time.monotonic()
    purge = plan_purge(files, look, before)
    print(f"\n{name}, older than {options.days:g} days:")
    _show("of retired runs", purge, retired=True)
    _show("without a run", purge, retired=False)
    print(f"{'kept':<16}{purge.kept} files, {purge.kept_bytes / 1e6:.1f} MB")
    if options.delete:
        number, size = carry_out(purge, files, look, before, print)
        seconds = time.monotonic() - began
        print(f"{'removed':<16}{number} files, {size / 1e6:.1f} MB, in {seconds:.1f} s")


def _show(title: str, purge: Purge, retired: bool) -> None:
    folders = purge.retired if retired else purge.without_run
    files = sum(len(folder.keys) for folder in folders.values())
    size = sum(folder.bytes for folder in folders.values())
    print(f"{title:<16}{files} files, {size / 1e6:.1f} MB, in {len(folders)} folders")
    for name, folder in list(folders.items())[:_SHOWN]:
        when = time.strftime("%Y-%m-%d", time.gmtime(folder.newest))
        held = f"{len(folder.keys):>6} files{folder.bytes / 1e6:>10.1f} MB"
        print(f"  {escaped(name):<36}{held}  {when}")
    if len(folders) > _SHOWN:
        print(f"  … and {len(folders) - _SHOWN} more")
