"""The embedded sqlite stores of a home.

Each version's folder is whole by itself: files are copied too, and locations rewritten. With files
shared, `make gc` of one store would remove what the other needs.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import embedded_store
from wine_quality.tracking.servers.embedded_store import ARTIFACTS, DATABASE, alone
from wine_quality.tracking.servers.openers import opened_by
from wine_quality.upgrades.errors import UpgradeError
from wine_quality.upgrades.files import Extent, copy_files, extent_of
from wine_quality.upgrades.locations import Move, rewrite
from wine_quality.upkeep.backup import sha256_of

_STAGED = "mlflow.upgrade"
_BUSY_SECONDS = 30
_SPARE_BYTES = 64 << 20


class EmbeddedStores:
    """See ``Place``."""

    def __init__(self, source: MlflowVersion, target: MlflowVersion, folder: Path) -> None:
        self.source, self.target = source, target
        self.title = f"the embedded store of MLflow {source.key}"
        self.backup = folder / "source.db"
        self.variables: Mapping[str, str] = {}
        self._from, self._to = embedded_store(source.key), embedded_store(target.key)
        self._database, self._staged = self._from / DATABASE, self._to / _STAGED
        self._files = self._from / ARTIFACTS
        old = (self._files, self._files.resolve(), self._from.resolve() / ARTIFACTS)
        self.move: Move | None = Move(old, self._to / ARTIFACTS)

    @contextmanager
    def kept_from_others(self) -> Iterator[None]:
        """Lock the target's folder, so that no process of its version makes a store there."""
        self._to.mkdir(parents=True, exist_ok=True)
        with alone(self._to):
            yield

    def source_database(self) -> AbstractContextManager[sqlite3.Connection]:
        return _reading(self._database)

    def target_database(self) -> AbstractContextManager[sqlite3.Connection] | None:
        database = self._to / DATABASE
        is_there = database.exists() and database.stat().st_size > 0
        return _reading(database) if is_there else None

    def staged_database(self) -> AbstractContextManager[sqlite3.Connection]:
        return _reading(self._staged)

    def obstacles(self) -> list[str]:
        found = []
        for database in (self._database, self._to / DATABASE):
            found += [f"{database} is open in {who}: end it" for who in opened_by(database)]
        needed = extent_of(self._files).bytes - extent_of(self._to / ARTIFACTS).bytes
        needed += 3 * self._database.stat().st_size + _SPARE_BYTES
        there = self._to if self._to.exists() else self._from
        free = shutil.disk_usage(there).free
        if free < needed:
            found.append(
                f"the disk of {there} has {free / 1e6:.0f} MB free, and about {needed / 1e6:.0f} "
                "MB are needed for a copy of the files and of the database"
            )
        return found

    def how_to_clear_target(self) -> str:
        aside = self._to.with_name(f"{self._to.name}.aside")
        return f"move it away (mv {self._to} {aside}); moved back it is what it was."

    def fingerprint(self) -> str:
        digest = hashlib.sha256()
        for name in (DATABASE, f"{DATABASE}-wal"):
            path = self._from / name
            digest.update(sha256_of(path).encode() if path.exists() else b"none")
        return digest.hexdigest()

    def back_up(self) -> None:
        fresh = self.backup.with_suffix(".new")
        fresh.unlink(missing_ok=True)
        with self.source_database() as source, closing(sqlite3.connect(fresh)) as copy:
            source.backup(copy)
            ((text,),) = copy.execute("PRAGMA integrity_check(1)").fetchall()
        if text != "ok":
            raise UpgradeError(f"{self._database} is damaged: {text}")
        fresh.replace(self.backup)

    @contextmanager
    def source_uri(self) -> Iterator[str]:
        """The URI of the copy, since a client may write even while it reads."""
        yield f"sqlite:///{self.backup}"

    def is_staged(self) -> bool:
        return self._staged.exists()

    def stage(self, upgrade_schema: Callable[[str, Mapping[str, str]], None]) -> None:
        for left in self._to.glob(f"{_STAGED}*"):
            left.unlink()
        fresh = self._to / f"{_STAGED}.new"
        shutil.copyfile(self.backup, fresh)
        assert self.move is not None
        with closing(sqlite3.connect(fresh)) as connection, connection:
            rewrite(connection, self.move)
        upgrade_schema(f"sqlite:///{fresh}", {})
        fresh.replace(self._staged)

    def copy_files(self, say: Callable[[str], None]) -> Extent:
        return copy_files(self._files, self._to / ARTIFACTS, say)

    @contextmanager
    def staged_uri(self) -> Iterator[str]:
        yield f"sqlite:///{self._staged}"

    def put_in_place(self) -> None:
        """Rename the staged copy over the target's database, which is at most an empty store."""
        with closing(sqlite3.connect(self._staged)) as connection:
            connection.execute("PRAGMA journal_mode = DELETE")  # nothing is left beside the file
        with self._staged.open("rb") as file:
            os.fsync(file.fileno())
        self._staged.replace(self._to / DATABASE)

    def in_use(self) -> list[str]:
        database = self._to / DATABASE
        return [f"{database} is open in {who}: end it." for who in opened_by(database)]

    def put_aside(self, stamp: str) -> str:
        if not (self._to / DATABASE).exists():
            return ""
        aside = self._to.with_name(f"{self._to.name}.undone-{stamp}")
        self._to.rename(aside)
        return str(aside)

    def discard_staged(self) -> None:
        """Remove the staged copy; and the copied files where the target has no database that could
        name them. The old store keeps its own."""
        for left in self._to.glob(f"{_STAGED}*"):
            left.unlink()
        if not (self._to / DATABASE).exists():
            shutil.rmtree(self._to, ignore_errors=True)

    def way_back(self) -> list[str]:
        command = f"make upgrade FROM={self.source.key} TO={self.target.key} ARGS=--undo"
        return [
            f"{self._from} is as it was: MLFLOW={self.source.key} goes on with it.",
            f"What MLflow {self.target.key} tracks from now on is in {self._to} only. To undo the "
            f"upgrade: {command}",
        ]


def _reading(database: Path) -> AbstractContextManager[sqlite3.Connection]:
    uri = f"{database.absolute().as_uri()}?mode=ro"
    return closing(sqlite3.connect(uri, uri=True, timeout=_BUSY_SECONDS))
