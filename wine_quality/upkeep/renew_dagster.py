"""The database of Dagster, of the local stack or in containers, migrated by the Dagster that is
installed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.renewed import ignore_interrupts
from wine_quality.stack.service import with_home
from wine_quality.stack.settings import FOLDER, StackError
from wine_quality.upkeep.backup import require_new
from wine_quality.upkeep.data_services import DataServices
from wine_quality.upkeep.renewal import Say, backed_up, require_whole
from wine_quality.upkeep.restore import filled_databases
from wine_quality.upkeep.staged_databases import drop_replaced, swap
from wine_quality.upkeep.table_sums import Sums, require_same, sum_tables, total
from wine_quality.upkeep.unfinished import instance_variables

_SECONDS = 6 * 3600
# Dagster's migrations fill other tables from these, of which no row comes or goes.
_KEPT = ("runs", "event_logs", "asset_keys", "jobs", "job_ticks", "bulk_actions")


def renew_dagster(
    opened: Callable[[], AbstractContextManager[DataServices]], folder: Path, say: Say
) -> dict[str, Any]:
    """Have the Dagster that is installed migrate a copy of its database, which then takes its
    place; returns the manifest.

    Args:
        opened: PostgreSQL and S3 of a platform that is stopped.

    Raises:
        StackError: Dagster refuses, or rows are missing.
    """
    require_new(folder)
    with opened() as services:
        require_whole(services.folder)
        manifest = backed_up(services, folder, say)
        name = services.settings["DAGSTER_POSTGRES_DB"]
        before = sum_tables(services, name)
        if "public.runs" not in before:
            raise StackError("Dagster has no tables here: nothing to migrate.")
        with filled_databases(services, folder, manifest, say, only=name) as staged:
            require_same(before, sum_tables(services, staged[name]), name)
            _migrate(services, staged[name], say)
            after = sum_tables(services, staged[name])
            _require_kept(before, after)
            say(f"the same in both: {total({name: _kept_of(before)})}")
            ignore_interrupts()
            swap(services, staged)
        drop_replaced(services, staged)
    say(
        f"to go back: check out the commit of before, then make restore FROM={folder} "
        "ARGS=--overwrite"
    )
    return manifest


def _migrate(services: DataServices, database: str, say: Say) -> None:
    """`dagster instance migrate` with the stack's own DAGSTER_HOME, on a database of another
    name. The home in containers lies in a volume: one with the same configuration stands for it."""
    home = services.folder / "dagster"
    home.mkdir(exist_ok=True)
    if not (home / "dagster.yaml").exists():
        (home / "dagster.yaml").symlink_to(FOLDER / "dagster.yaml")
    variables = {**instance_variables(services, home), "DAGSTER_POSTGRES_DB": database}
    command = [str(Path(sys.executable).with_name("dagster")), "instance", "migrate"]
    log = home / "migrate.log"
    say(f"{' '.join(command[1:])}, its output in {log}")
    with log.open("wb") as output:
        done = subprocess.run(
            command,
            env=with_home(home / "homes" / "migrate", variables),
            cwd=PROJECT_ROOT,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
        )
    if done.returncode != 0:
        ended = log.read_text(errors="replace").strip()[-800:]
        raise StackError(f"Dagster could not migrate its database; nothing was changed: {ended}")


def _kept_of(sums: Sums) -> Sums:
    return {name: one for name, one in sums.items() if name.partition(".")[2] in _KEPT}


def _require_kept(before: Sums, after: Sums) -> None:
    """Raises ``StackError`` where a table lost rows, or one that only keeps them has others."""
    for name, (number, _) in before.items():
        now = after.get(name, (0, 0))[0]
        if now < number or (name in _kept_of(before) and now != number):
            raise StackError(f"after Dagster's migration {name} has {now} rows; it had {number}.")
