"""``renew``: the platform's data taken over to another PostgreSQL, store, Dagster or MLflow."""

from __future__ import annotations

import argparse
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

from wine_quality.cli.backup import copy_data
from wine_quality.cli.exits import BAD_USE, fail, show
from wine_quality.cli.on_platform import add_platform, platform
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS

_WHAT = ("postgres", "store", "dagster", "mlflow")
_INTERRUPTED = (
    "interrupted: the stack is as it was; the same command with a new folder for the backup does it"
)


def add_options(command: argparse.ArgumentParser) -> None:
    command.add_argument("what", choices=_WHAT, help="what is to be another one")
    command.add_argument("folder", help="folder for the backup that comes first, new or empty")
    text = (
        "postgres: bin folder of the new server; store: nanio, minio or seaweedfs; mlflow: the two "
        'versions, such as "1.26 3"'
    )
    command.add_argument("--with", dest="given", default="", help=text)
    text = "mlflow: also while MLflow runs are under way"
    command.add_argument("--with-open-runs", action="store_true", help=text)
    text = "mlflow: also where a model predicts otherwise"
    command.add_argument("--accept-differences", action="store_true", help=text)
    add_platform(command)


def renew(options: argparse.Namespace) -> int:
    """Exit code 0 when done, 1 when not, 2 on bad use; the reason is on stderr."""
    if not options.folder:
        return fail("name a new folder for the backup that comes first: TO=FOLDER", BAD_USE)
    if options.what == "mlflow":
        return _renew_mlflow(options)
    if options.what == "dagster" and options.given:
        return fail("WITH is not for dagster: its version is that of the lock.", BAD_USE)
    if options.what != "dagster" and options.on != "stack":
        return fail(
            f"ON={options.on} is for dagster and mlflow; how {options.what} is renewed in "
            "containers is in docs/how-to/upgrade-platform.md.",
            BAD_USE,
        )

    def renew_in(folder: Path) -> dict[str, Any]:
        if options.what == "dagster":
            from wine_quality.upkeep.renew_dagster import renew_dagster

            return renew_dagster(partial(platform, options, "stopped"), folder, show)
        module = import_module(f"wine_quality.upkeep.renew_{options.what}")
        return getattr(module, f"renew_{options.what}")(folder, options.given, show)

    code = copy_data(options, renew_in, _INTERRUPTED)
    if code == 0 and options.on == "stack":
        print("Start it: make stack (with the versions it had)")
    return code


def _renew_mlflow(options: argparse.Namespace) -> int:
    """A backup, then what `make upgrade` does with the stack's databases."""
    from wine_quality.cli.upgrade import upgrade

    versions = options.given.split()
    if len(versions) != 2 or set(versions) - set(MLFLOW_VERSIONS):
        return fail(
            'WITH names two MLflow versions, the one that has the runs first, as in WITH="1.26 3"; '
            f"there are {', '.join(MLFLOW_VERSIONS)}",
            BAD_USE,
        )
    options.source, options.target = versions
    vars(options).update(store=options.on, apply=False, undo=False, with_new_runs=False)
    code = upgrade(options)
    if code == 0:
        code = copy_data(options, partial(_back_up, options), _INTERRUPTED)
    if code == 0:
        options.apply = True
        code = upgrade(options)
        if code:
            command = f"make upgrade FROM={options.source} TO={options.target}"
            show(
                f'to go on after it: {command} ARGS="--store {options.on} --apply"; the backup is '
                "whole"
            )
    return code


def _back_up(options: argparse.Namespace, folder: Path) -> dict[str, Any]:
    from wine_quality.upkeep.backup import require_new
    from wine_quality.upkeep.renewal import backed_up, require_whole

    require_new(folder)
    with platform(options, "running") as services:
        require_whole(services.folder)
        return backed_up(services, folder, show)
