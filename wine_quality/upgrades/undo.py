"""Takes an upgrade back. The old store was only read, so that only the new one has to go: it is put
aside under another name, and nothing of it is removed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from wine_quality.upgrades.census import as_it_is, columns_of, sum_tables, take_census
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.place import Place, Say
from wine_quality.upgrades.progress import forget_progress, read_progress
from wine_quality.upgrades.upgrade import CONTENT, was_finished
from wine_quality.upkeep.mlflow_tables import rows

_FIRST = ("runs", "model_versions", "metrics", "experiments", "registered_models")
"""Tables whose names people know."""

_SHOWN = 5
_STAMP = "%Y%m%dT%H%M%SZ"


def undo_upgrade(place: Place, folder: Path, say: Say, with_new_runs: bool) -> None:
    """Put the store that an upgrade made aside, also one that it has not finished.

    Args:
        folder: Working folder of the upgrade.
        with_new_runs: Also when the new store has changed since.

    Raises:
        UpgradeError: there is nothing to undo, it is in use, or what was tracked since would be
            missing.
    """
    progress = read_progress(folder)
    if not progress.get("done"):
        raise UpgradeError(
            f"no upgrade of MLflow {place.source.key} to {place.target.key} is noted in {folder}: "
            "there is nothing to undo."
        )
    used = place.in_use()
    if used:
        raise UpgradeError(" ".join(used))
    if was_finished(place, folder):
        _require_unchanged(place, progress, with_new_runs)
        kept = place.put_aside(datetime.now(timezone.utc).strftime(_STAMP))
        text = f"The store that the upgrade made is kept in {kept}." if kept else "It was gone."
    else:
        place.discard_staged()
        text = "The copy that was not finished is removed."
    forget_progress(folder)
    say(f"{text} MLFLOW={place.source.key} goes on with {place.title}, as it is.")


def _require_unchanged(place: Place, progress: Mapping[str, Any], with_new_runs: bool) -> None:
    database = place.target_database()
    if database is None or with_new_runs:
        return
    with database as connection:
        changed = _changes(connection, progress)
        with place.source_database() as source:
            new = sorted(_runs(connection) - _runs(source))
    if not changed:
        return
    named = ""
    if new:
        number = "1 run is" if len(new) == 1 else f"{len(new)} runs are"
        named = f" {number} only there: {_listed(new)}."
    raise UpgradeError(
        f"the store of MLflow {place.target.key} has changed since the upgrade ({_listed(changed)})"
        f".{named} The old store does not have that. ARGS='--undo --with-new-runs' undoes the "
        "upgrade all the same; the new store is kept aside, with all of it."
    )


def _changes(connection: Any, progress: Mapping[str, Any]) -> list[str]:
    """Tables that hold other rows than when they were put in place."""
    content = progress.get(CONTENT)
    if content is None:  # an older commit made it, and noted how many rows there were
        counted = take_census(connection).tables
        return [
            f"{table}: {number} rows, now {counted.get(table, 0)}"
            for table, number in progress.get("rows", {}).items()
            if table in _FIRST and counted.get(table) != number
        ]
    there = columns_of(connection)
    known = {
        table: [name for name in noted["columns"] if name in there[table]]
        for table, noted in content.items()
        if table in there
    }
    now = sum_tables(connection, known, as_it_is)
    known_first = sorted(content.items(), key=lambda one: one[0] not in _FIRST)
    return [
        f"{table}: {noted['rows']} rows, now {now[table].rows if table in now else 'no such table'}"
        for table, noted in known_first
        if table not in now
        or (noted["rows"], noted["sha256"]) != (now[table].rows, now[table].sha256)
    ]


def _runs(connection: Any) -> set[str]:
    return {run for (run,) in rows(connection, "SELECT run_uuid FROM runs")}


def _listed(names: Iterable[str]) -> str:
    found = list(names)
    left = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {left} more" if left > 0 else "")
