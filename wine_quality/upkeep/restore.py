"""Bring a backup into a platform that is not in use: it is verified before anything is written.

The databases are restored beside those that are there, and take their names at once when all of
them are whole: a restore that failed before has changed nothing.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from wine_quality.stack.settings import StackError
from wine_quality.upkeep import history_tables
from wine_quality.upkeep.backup import (
    FORMAT,
    HISTORY,
    INTERRUPTED,
    MANIFEST,
    OBJECTS,
    SIGNING_KEY,
    listed,
    object_path,
    sha256_of,
)
from wine_quality.upkeep.data_services import DataServices
from wine_quality.upkeep.fitting_backup import require_fitting
from wine_quality.upkeep.staged_databases import drop_replaced, staged_databases, swap
from wine_quality.upkeep.unfinished import end_unfinished

# Tables that have rows as soon as the platform was used, in any of the databases, and which
# of their rows count: Dagster's daemon notes by itself that an asset's freshness is unknown.
_TELLING = {
    "runs": "true",
    "event_logs": "COALESCE(dagster_event_type, '') NOT LIKE 'FRESHNESS%'",
    "asset_keys": "last_run_id IS NOT NULL OR last_materialization_timestamp IS NOT NULL",
    "registered_models": "true",
    "wine_quality.evaluation_metrics": "true",
    "wine_quality.predictions": "true",
}
UNFINISHED = "restore.unfinished"
"""In the platform's folder from the first object that is written until the end: no stack starts
over that."""

HALF_DONE = "A restore from {folder} is half done; run the same `make restore` again."
"""PostgreSQL's comment meanwhile: containers, which do not see that folder, do not start then."""


def verify(folder: Path) -> dict[str, Any]:
    """The manifest of a backup that is whole.

    Raises:
        StackError: it is unfinished, of another format, or a file is missing or was changed.
    """
    if (folder / "databases").exists() and not (folder / MANIFEST).exists():
        raise StackError(f"{folder} holds {INTERRUPTED}; it cannot be restored.")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
    except (OSError, ValueError) as error:
        raise StackError(f"{folder} holds no finished backup: {error}") from None
    found = manifest.get("format")
    if not isinstance(found, int) or not 1 <= found <= FORMAT:
        raise StackError(
            f"{folder} has format {found}; up to {FORMAT} is known here: a newer wine_quality has "
            "made it. Update this one."
        )
    for name, text in manifest["databases"].items():
        _require_hash(folder / "databases" / f"{name}.dump", text["sha256"])
    for name, text in manifest.get("history", {}).get("tables", {}).items():
        _require_hash(folder / history_tables.FOLDER / f"{name}.copy", text["sha256"])
    _require_hash(folder / OBJECTS, manifest["objects"]["sha256"])
    if manifest.get("signing_key"):  # not in backups from before there were signatures
        _require_hash(folder / SIGNING_KEY, manifest["signing_key"])
    for line in lines(folder):
        _require_hash(object_path(folder, line["sha256"]), line["sha256"])
    return manifest


def restore(
    services: DataServices,
    folder: Path,
    manifest: dict[str, Any],
    overwrite: bool,
    say: Callable[[str], None],
) -> None:
    """Databases beside those that are there, then the objects that they point at, then the
    databases in place of those; last, runs that were under way end.

    Raises:
        StackError: the platform holds something and ``overwrite`` is not set; pg_restore failed; or
            the backup is of something newer than what is here.
    """
    require_fitting(services, folder, manifest)
    marker = services.folder / UNFINISHED
    found = _first_found_data(services)
    if found and not overwrite and not marker.exists():
        raise StackError(
            f"the stack is not empty ({found}); ARGS=--overwrite replaces what is there, all of it."
        )
    with filled_databases(services, folder, manifest, say) as staged:
        marker.write_text(str(folder))
        _note(services, HALF_DONE.format(folder=folder))
        if manifest.get("signing_key"):
            origin = folder / SIGNING_KEY
            left = services.home.accept(origin.read_text(), str(origin))
            say(left or "the key that its model versions are signed with is accepted here")
        _write_objects(services, folder, say)
        swap(services, staged)
    _remove_others(services, folder)
    end_unfinished(services, manifest["began"], say)
    drop_replaced(services, staged)
    _note(services, None)
    marker.unlink()


@contextmanager
def filled_databases(
    services: DataServices,
    folder: Path,
    manifest: dict[str, Any],
    say: Callable[[str], None],
    only: str | None = None,
) -> Iterator[dict[str, str]]:
    """The databases of a backup, or only one, beside those that are there: see
    ``staged_databases``."""
    wanted = set(manifest["databases"]) & ({only} if only else set(manifest["databases"]))
    owners = {name: owner for name, owner in services.databases() if name in wanted}
    with staged_databases(services, owners) as staged:
        # MLflow's before Dagster's, which points at it.
        for name in reversed(list(owners)):
            _fill(services, folder, manifest, name, staged[name], owners[name], say)
            say(f"{name} is restored")
        yield staged


def _note(services: DataServices, text: str | None) -> None:
    """Set the comment of the administrator's database, which any user of any database reads."""
    with closing(services.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("COMMENT ON DATABASE postgres IS %s", (text,))
        connection.commit()


def _write_objects(services: DataServices, folder: Path, say: Callable[[str], None]) -> None:
    buckets, number = services.buckets(), 0
    with services.home.replace_history() as history:
        for line in lines(folder):
            path = object_path(folder, line["sha256"])
            if line["place"] == HISTORY:
                _write_history(history, line["key"], path.read_bytes())
            else:
                client, bucket = buckets[line["place"]]
                with path.open("rb") as content:
                    client.put_object(Bucket=bucket, Key=line["key"], Body=content)
            number += 1
            if number % 1000 == 0:
                say(f"{number} objects …")
    say(f"{number} objects are restored")


def _write_history(history: Path | None, key: str, content: bytes) -> None:
    if history is None:
        raise StackError("the backup has a history in a folder; unset WINE_QUALITY_HISTORY.")
    target = (history / key).resolve()
    if not target.is_relative_to(history.resolve()):
        raise StackError(f"{key!r} leads out of {history}")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _remove_others(services: DataServices, folder: Path) -> None:
    """Objects that the backup does not have."""
    kept = {(line["place"], line["key"]) for line in lines(folder)}
    for place, (client, bucket) in services.buckets().items():
        for key in list(listed(client, bucket)):
            if (place, key) not in kept:
                client.delete_object(Bucket=bucket, Key=key)


def _fill(
    services: DataServices,
    folder: Path,
    manifest: dict[str, Any],
    name: str,
    staged: str,
    owner: str,
    say: Callable[[str], None],
) -> None:
    """All of a database's dump into a new one; its part of the metrics history, too."""
    is_metrics = name == services.settings["METRICS_POSTGRES_DB"]
    history = manifest.get("history")
    if is_metrics and history:
        tables = folder / history_tables.FOLDER
        history_tables.load_tables(services, staged, owner, history, tables, say)
    options = ["--no-owner", "--no-privileges", f"--role={owner}", "--single-transaction"]
    options += ["--exit-on-error", f"--dbname={staged}"]
    services.run(
        f"pg_restore of {name}", "pg_restore", *options, read=folder / "databases" / f"{name}.dump"
    )
    if is_metrics and not history:
        history_tables.upgrade_restored(services, staged, name, owner, say)


def _first_found_data(services: DataServices) -> str:
    """The first thing that is there, in words; empty when a stack was at most started."""
    for database, _ in services.databases():
        with closing(services.connect(database)) as connection, connection.cursor() as cursor:
            for table, rows in _TELLING.items():
                cursor.execute("SELECT to_regclass(%s)", (table,))
                if cursor.fetchone() == (None,):
                    continue
                cursor.execute(f"SELECT 1 FROM {table} WHERE {rows} LIMIT 1")
                if cursor.fetchone():
                    return f"database {database} has rows in {table}"
    for client, bucket in services.buckets().values():
        if next(listed(client, bucket), None) is not None:
            return f"bucket {bucket} has objects"
    with services.home.history() as history:
        if history is not None and history.exists() and any(history.rglob("*")):
            return f"{history} has files"
    return ""


def _require_hash(path: Path, digest: str) -> None:
    if not path.is_file():
        raise StackError(f"{path} is missing; nothing is restored.")
    if sha256_of(path) != digest:
        raise StackError(f"{path} was changed since the backup was made; nothing is restored.")


def lines(folder: Path) -> Iterator[dict[str, Any]]:
    """The list of a backup's objects: ``place``, ``key``, ``bytes``, ``sha256``."""
    with (folder / OBJECTS).open() as index:
        for line in index:
            yield json.loads(line)
