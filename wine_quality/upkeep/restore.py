"""Bring a backup into the local stack: all of it is verified before anything is written."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.stack.platform import stack_folder
from wine_quality.stack.settings import StackError
from wine_quality.tracking.registry.signing_key import add_keys
from wine_quality.upkeep.backup import (
    FORMAT,
    HISTORY,
    INTERRUPTED,
    MANIFEST,
    OBJECTS,
    SIGNING_KEY,
    history_folder,
    listed,
    object_path,
    sha256_of,
)
from wine_quality.upkeep.data_services import DataServices
from wine_quality.upkeep.unfinished import end_unfinished

# Tables that have rows as soon as anybody has done anything, in whichever database they are.
_TELLING = (
    *("runs", "event_logs", "asset_keys", "registered_models"),
    *("wine_quality.evaluation_metrics", "wine_quality.predictions"),
)
UNFINISHED = "restore.unfinished"
"""In the stack's folder while a restore has begun and not ended: no stack starts over that."""


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
    if manifest.get("format") != FORMAT:
        raise StackError(f"{folder} has format {manifest.get('format')}; {FORMAT} is known here.")
    for name, said in manifest["databases"].items():
        _require_hash(folder / "databases" / f"{name}.dump", said["sha256"])
    _require_hash(folder / OBJECTS, manifest["objects"]["sha256"])
    if manifest.get("signing_key"):  # not in backups from before there were signatures
        _require_hash(folder / SIGNING_KEY, manifest["signing_key"])
    for line in _lines(folder):
        _require_hash(object_path(folder, line["sha256"]), line["sha256"])
    return manifest


def restore(
    services: DataServices,
    folder: Path,
    manifest: dict[str, Any],
    overwrite: bool,
    say: Callable[[str], None],
) -> None:
    """Objects first, then the databases that point at them; last, runs that were under way end.

    Raises:
        StackError: the stack holds something and ``overwrite`` is not set; pg_restore failed; or
            the backup is of a newer PostgreSQL.
    """
    _require_postgres(services, manifest)
    marker = stack_folder() / UNFINISHED
    found = _what_is_there(services)
    if found and not overwrite and not marker.exists():
        raise StackError(
            f"the stack is not empty ({found}); ARGS=--overwrite replaces what is there, all of it."
        )
    marker.write_text(str(folder))
    if manifest.get("signing_key"):
        text = (folder / SIGNING_KEY).read_text()
        add_keys(text, str(folder / SIGNING_KEY), sign_with_them=False)
        say("the key that its model versions are signed with is accepted here")
    _write_objects(services, folder, say)
    owners = dict(services.databases())
    # MLflow's before Dagster's, which points at it.
    for name in reversed(list(manifest["databases"])):
        _fill(services, folder / "databases" / f"{name}.dump", name, owners[name])
        say(f"{name} is restored")
    end_unfinished(services, manifest["began"], say)
    marker.unlink()


def _write_objects(services: DataServices, folder: Path, say: Callable[[str], None]) -> None:
    buckets, history = services.buckets(), history_folder()
    for client, bucket in buckets.values():
        for key in list(listed(client, bucket)):
            client.delete_object(Bucket=bucket, Key=key)
    if history is not None and history.exists():
        for path in sorted(history.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
    number = 0
    for line in _lines(folder):
        path = object_path(folder, line["sha256"])
        if line["place"] == HISTORY:
            if history is None:
                raise StackError(
                    "the backup has a history in a folder; unset WINE_QUALITY_HISTORY."
                )
            target = (history / line["key"]).resolve()
            if not target.is_relative_to(history.resolve()):
                raise StackError(f"{line['key']!r} leads out of {history}")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(path.read_bytes())
        else:
            client, bucket = buckets[line["place"]]
            with path.open("rb") as content:
                client.put_object(Bucket=bucket, Key=line["key"], Body=content)
        number += 1
        if number % 1000 == 0:
            say(f"{number} objects …")
    say(f"{number} objects are restored")


def _fill(services: DataServices, dump: Path, database: str, owner: str) -> None:
    """One transaction: the database holds all of the dump, or what it held before."""
    sql = "DROP SCHEMA IF EXISTS wine_quality CASCADE; DROP SCHEMA public CASCADE; "
    sql += "CREATE SCHEMA public AUTHORIZATION pg_database_owner"
    services.run("psql", "psql", "--no-psqlrc", "-qXc", sql, f"--dbname={database}")
    options = ["--no-owner", "--no-privileges", f"--role={owner}", "--single-transaction"]
    options += ["--exit-on-error", f"--dbname={database}", str(dump)]
    services.run("pg_restore", "pg_restore", *options)


def _what_is_there(services: DataServices) -> str:
    """The first thing that is there, in words; empty when a stack was at most started."""
    for database, _ in services.databases():
        with closing(services.connect(database)) as connection, connection.cursor() as cursor:
            for table in _TELLING:
                cursor.execute("SELECT to_regclass(%s)", (table,))
                if cursor.fetchone() == (None,):
                    continue
                cursor.execute(f"SELECT 1 FROM {table} LIMIT 1")
                if cursor.fetchone():
                    return f"database {database} has rows in {table}"
    for client, bucket in services.buckets().values():
        if next(listed(client, bucket), None) is not None:
            return f"bucket {bucket} has objects"
    history = history_folder()
    if history is not None and history.exists() and any(history.rglob("*")):
        return f"{history} has files"
    return ""


def _require_postgres(services: DataServices, manifest: dict[str, Any]) -> None:
    theirs, ours = manifest["versions"]["postgresql"], services.postgres_version
    if int(theirs.partition(".")[0]) > int(ours.partition(".")[0]):
        raise StackError(f"the backup is of PostgreSQL {theirs}; here is {ours}, which is older.")


def _require_hash(path: Path, digest: str) -> None:
    if not path.is_file():
        raise StackError(f"{path} is missing; nothing is restored.")
    if sha256_of(path) != digest:
        raise StackError(f"{path} was changed since the backup was made; nothing is restored.")


def _lines(folder: Path) -> Iterator[dict[str, Any]]:
    with (folder / OBJECTS).open() as index:
        for line in index:
            yield json.loads(line)
