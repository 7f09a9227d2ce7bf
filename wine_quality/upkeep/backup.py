"""A copy of all databases, both buckets and the history's folder that fits together.

All databases are dumped as they were at one time (``database_snapshots.py``), the objects copied
after it.
Files are written before a registry names them, and never written again, so each object that a dump
names is there when the objects are copied; what came later is more than needed, not less. So
nothing has to be stopped for it. Only `make gc`, which removes files, waits its turn.

In the folder: ``databases/NAME.dump`` (pg_dump, custom format), ``history-tables/NAME.copy`` (the
rows of the metrics history: ``history_tables.py``), ``objects/ab/abcd…`` by SHA-256,
``objects.jsonl`` (place, key, size, sha256), ``signing.key``, by which the model versions are
trusted wherever this is restored, and, last, ``manifest.json``. A folder without a manifest is not
a backup.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from wine_quality.stack.settings import StackError
from wine_quality.upkeep import history_tables
from wine_quality.upkeep.data_services import DataServices
from wine_quality.upkeep.database_snapshots import simultaneous_snapshots

FORMAT = 2
"""Since 2 the metrics history is apart; a backup of format 1 has it in its database's dump."""
MANIFEST, OBJECTS = "manifest.json", "objects.jsonl"
SIGNING_KEY = "signing.key"
HISTORY = "history"
INTERRUPTED = "a backup that was interrupted or is still being made"
_CHUNK = 1 << 20
_DIGEST = re.compile(r"[0-9a-f]{64}")
_REPORT = 1000


def back_up(services: DataServices, folder: Path, say: Callable[[str], None]) -> dict[str, Any]:
    """Write a backup into an empty folder; returns its manifest.

    Raises:
        StackError: the folder is not empty, or pg_dump failed.
    """
    require_new(folder)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    began = datetime.now(timezone.utc)
    (folder / "databases").mkdir()
    dumps = {}
    with simultaneous_snapshots(services) as (snapshots, apart):
        say(f"all databases as of one moment ({1000 * apart:.0f} ms apart)")
        for database, snapshot in snapshots.items():
            path = folder / "databases" / f"{database}.dump"
            _dump(services, database, snapshot, path)
            dumps[database] = _entry_of(path)
            say(f"{database}: {dumps[database]['bytes']} bytes")
        metrics = services.settings["METRICS_POSTGRES_DB"]
        tables = folder / history_tables.FOLDER
        history = history_tables.copy_tables(services, metrics, snapshots[metrics], tables, say)
    for name, copied in history["tables"].items():
        copied.update(_entry_of(tables / f"{name}.copy"))
    signing_key = _keep_signing_key(services, folder)
    number = size = 0
    with (folder / OBJECTS).open("w") as index:
        for place, key, content in _objects(services):
            with content:
                digest, length = _keep(content, folder)
            line = {"place": place, "key": key, "bytes": length, "sha256": digest}
            index.write(json.dumps(line) + "\n")
            number, size = number + 1, size + length
            if number % _REPORT == 0:
                say(f"{number} objects, {size} bytes …")
    manifest = {
        "format": FORMAT,
        "began": began.isoformat(timespec="seconds"),
        "ended": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "apart_milliseconds": round(1000 * apart, 1),
        "versions": versions_here(services),
        "signing_key": signing_key,
        "databases": dumps,
        "history": history,
        "objects": {"number": number, "bytes": size, "sha256": sha256_of(folder / OBJECTS)},
    }
    fresh = folder / f"{MANIFEST}.new"
    fresh.write_text(json.dumps(manifest, indent=1))
    fresh.rename(folder / MANIFEST)
    return manifest


def require_new(folder: Path) -> None:
    """Raises ``StackError`` unless a backup can be written there: into a new or empty folder."""
    if (folder / "databases").exists() and not (folder / MANIFEST).exists():
        raise StackError(f"{folder} holds {INTERRUPTED}; remove it, or name a new folder.")
    if folder.is_file():
        raise StackError(f"{folder} is a file; name a new folder for each backup.")
    if folder.exists() and any(folder.iterdir()):
        raise StackError(f"{folder} is not empty; name a new folder for each backup.")


def _entry_of(path: Path) -> dict[str, Any]:
    """The entry of a file in the manifest: its size in bytes and its SHA-256."""
    return {"bytes": path.stat().st_size, "sha256": sha256_of(path)}


def _keep_signing_key(services: DataServices, folder: Path) -> str | None:
    """Copy the signing key, readable by its owner only; return its SHA-256, None without a key."""
    text = services.home.signing_keys()
    if not text:
        return None
    with os.fdopen(os.open(folder / SIGNING_KEY, os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
        file.write(text)
    return sha256_of(folder / SIGNING_KEY)


def sha256_of(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def object_path(folder: Path, digest: str) -> Path:
    """The place of an object; ``StackError`` for a digest that is not a SHA-256, such as a path."""
    if not _DIGEST.fullmatch(digest):
        raise StackError(f"{digest[:80]!r} is not a SHA-256: the backup's list was changed.")
    return folder / "objects" / digest[:2] / digest


def listed(client: Any, bucket: str) -> Iterator[str]:
    """Keys of a bucket, page by page."""
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
        for entry in page.get("Contents", []):
            yield entry["Key"]


def _dump(services: DataServices, database: str, snapshot: str, path: Path) -> None:
    """Dump without owners and rights: the settings give those, and the passwords."""
    options = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    options += [f"--dbname={database}"]
    if database == services.settings["METRICS_POSTGRES_DB"]:
        options += history_tables.dump_options(services, database)
    with path.open("wb") as file:
        services.write(f"pg_dump of {database}", file, "pg_dump", *options)


def _objects(services: DataServices) -> Iterator[tuple[str, str, Any]]:
    for place, (client, bucket) in services.buckets().items():
        for key in listed(client, bucket):
            try:
                yield place, key, client.get_object(Bucket=bucket, Key=key)["Body"]
            except client.exceptions.NoSuchKey:
                continue  # deleted since it was listed
    with services.home.history() as folder:
        if folder is not None and folder.exists():
            for path in sorted(folder.rglob("*")):
                if path.is_file():
                    yield HISTORY, str(path.relative_to(folder)), path.open("rb")


def _keep(content: BinaryIO, folder: Path) -> tuple[str, int]:
    """Copy it under its hash; the hash and how many bytes it has."""
    fresh, digest, length = folder / "objects.new", hashlib.sha256(), 0
    with fresh.open("wb") as file:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            file.write(chunk)
            length += len(chunk)
    path = object_path(folder, digest.hexdigest())
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh.rename(path)
    return digest.hexdigest(), length


def _locked_release(lock_file: Path) -> str:
    found = re.search(r"^mlflow==(\S+)", lock_file.read_text(), re.MULTILINE)
    return found[1] if found else ""


def versions_here(services: DataServices) -> dict[str, Any]:
    """Versions of the programs that write the databases; ``mlflow`` has the release of each key."""
    from importlib.metadata import version

    from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
    from wine_quality.tracking.runs.run_tags import git_commit

    return {
        "postgresql": services.postgres_version,
        "dagster": version("dagster"),
        "mlflow": {key: _locked_release(found.lock_file) for key, found in MLFLOW_VERSIONS.items()},
        "wine_quality": git_commit(),
    }
