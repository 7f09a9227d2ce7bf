"""The databases of the local stack, one for each version; all versions share one bucket, so that
files stay where they are.

PostgreSQL and S3 run for the upgrade alone. Each version is asked through an MLflow server of its
own, which ends with it, since locations such as ``mlflow-artifacts:/`` are served by servers only.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.settings.runs import SIGNING_KEY
from wine_quality.stack.settings import choose_port
from wine_quality.stack.supervisor import Supervisor
from wine_quality.stack.tracking import mlflow_service
from wine_quality.upgrades.census import as_it_is, columns_of, sum_tables
from wine_quality.upgrades.files import Extent
from wine_quality.upgrades.locations import Move
from wine_quality.upgrades.place import Say
from wine_quality.upkeep.data_services import DataServices

_LOCAL = "127.0.0.1"


class StackDatabases:
    """See ``Place``.

    Args:
        services: PostgreSQL and S3 of the stack, which run for this alone when it is applied.
        is_up: Whether they belong to a stack that is up.
        store: What ``--store`` names: ``stack``, or ``compose`` with its options.
    """

    def __init__(
        self,
        source: MlflowVersion,
        target: MlflowVersion,
        folder: Path,
        services: DataServices,
        is_up: bool,
        store: str = "stack",
    ) -> None:
        self._is_up, self._store = is_up, store
        names = services.mlflow_databases()
        self.source, self.target = source, target
        self.title = f"the stack's database of MLflow {source.key}"
        self.move: Move | None = None
        self.backup = folder / "source.dump"
        self.variables: Mapping[str, str] = {}
        if store.startswith("compose"):  # the local stack's key is this home's
            keys = services.home.signing_keys().replace(",", " ").split()
            self.variables = {str(SIGNING_KEY): ",".join(keys)}
        self._folder, self._services = folder, services
        self._from, self._to = names[source.key], names[target.key]
        self._staged, self._replaced = f"{self._to}_upgrade", f"{self._to}_replaced"
        self._owner = services.settings["MLFLOW_POSTGRES_USER"]

    def source_database(self) -> AbstractContextManager[Any]:
        return self._reading(self._from)

    def target_database(self) -> AbstractContextManager[Any] | None:
        return self._reading(self._to) if self._is_there(self._to) else None

    def staged_database(self) -> AbstractContextManager[Any]:
        return self._reading(self._staged)

    def is_staged(self) -> bool:
        return self._is_there(self._staged)

    def obstacles(self) -> list[str]:
        return ["the stack is up: make stack-down"] if self._is_up else []

    def how_to_clear_target(self) -> str:
        return (
            f"rename it, in psql as {self._services.settings['POSTGRES_USER']}: ALTER DATABASE "
            f"{self._to} RENAME TO {self._to}_aside; renamed back it is what it was."
        )

    def fingerprint(self) -> str:
        with self.source_database() as connection:
            sums = sum_tables(connection, columns_of(connection), as_it_is)
        return hashlib.sha256(repr(sums).encode()).hexdigest()

    def back_up(self) -> None:
        """Dump it. That it is whole is checked later: it is restored, and each row compared."""
        fresh = self.backup.with_suffix(".new")
        options = ["--format=custom", "--no-owner", "--no-privileges", f"--dbname={self._from}"]
        with fresh.open("wb") as file:
            self._services.write(f"pg_dump of {self._from}", file, "pg_dump", *options)
        fresh.chmod(0o600)
        fresh.replace(self.backup)

    def source_uri(self) -> AbstractContextManager[str]:
        return self._server(self.source, self._from)

    def stage(self, upgrade_schema: Callable[[str, Mapping[str, str]], None]) -> None:
        settings, port = self._services.settings, self._services.postgres_port
        self._administrate(
            f"DROP DATABASE IF EXISTS {self._staged} WITH (FORCE)",
            f'CREATE DATABASE {self._staged} OWNER "{self._owner}" TEMPLATE template0',
            f"REVOKE CONNECT ON DATABASE {self._staged} FROM PUBLIC",
        )
        options = ["--no-owner", "--no-privileges", f"--role={self._owner}", "--single-transaction"]
        options += ["--exit-on-error", f"--dbname={self._staged}"]
        self._services.run("pg_restore", "pg_restore", *options, read=self.backup)
        upgrade_schema(
            f"postgresql+psycopg2://{self._owner}@{_LOCAL}:{port}/{self._staged}",
            {"PGPASSWORD": settings["MLFLOW_POSTGRES_PASSWORD"]},
        )

    def copy_files(self, say: Say) -> Extent:
        raise NotImplementedError("all versions share the bucket")

    def staged_uri(self) -> AbstractContextManager[str]:
        return self._server(self.target, self._staged)

    def put_in_place(self) -> None:
        """Rename two databases in one transaction; the empty one that had the name is dropped."""
        self._administrate(f"DROP DATABASE IF EXISTS {self._replaced} WITH (FORCE)")
        renames = [f"ALTER DATABASE {self._staged} RENAME TO {self._to}"]
        if self._is_there(self._to):
            renames.insert(0, f"ALTER DATABASE {self._to} RENAME TO {self._replaced}")
        self._administrate(f"BEGIN; {'; '.join(renames)}; COMMIT")
        self._administrate(f"DROP DATABASE IF EXISTS {self._replaced} WITH (FORCE)")

    def in_use(self) -> list[str]:
        return self.obstacles()

    def put_aside(self, stamp: str) -> str:
        """Rename the target's database; `make stack` makes an empty one when it next starts."""
        if not self._is_there(self._to):
            return ""
        aside = f"{self._to}_undone_{stamp.lower()}"
        self._administrate(f"ALTER DATABASE {self._to} RENAME TO {aside}")
        return f"the database {aside}"

    def discard_staged(self) -> None:
        self._administrate(f"DROP DATABASE IF EXISTS {self._staged} WITH (FORCE)")

    def way_back(self) -> list[str]:
        command = f"make upgrade FROM={self.source.key} TO={self.target.key}"
        command += f' ARGS="--store {self._store} '
        server = f"make stack VERSIONS={self.source.key}"
        if self._store.startswith("compose"):
            server = f"the server of MLflow {self.source.key}"
        return [
            f"The database {self._from} is as it was: {server} goes on with it.",
            f"What MLflow {self.target.key} tracks from now on is in the database {self._to} only. "
            f'To undo the upgrade: {command}--undo"',
        ]

    def _reading(self, database: str) -> AbstractContextManager[Any]:
        connection = self._services.connect(database)
        connection.set_session(readonly=True)
        return closing(connection)

    def _is_there(self, database: str) -> bool:
        with self._reading("postgres") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,))
            return cursor.fetchone() is not None

    def _administrate(self, *statements: str) -> None:
        """Run each statement with autocommit, since databases are not made in a transaction."""
        with closing(self._services.connect("postgres")) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)

    @contextmanager
    def _server(self, version: MlflowVersion, database: str) -> Iterator[str]:
        """An MLflow server over one of the databases, as the stack starts it; its address."""
        services = self._services
        port = choose_port(_LOCAL)
        settings = {
            **services.settings,
            "BIND_ADDRESS": _LOCAL,
            "POSTGRES_HOST": _LOCAL,
            "POSTGRES_PORT": str(services.postgres_port),
            "AWS_ENDPOINT_URL": f"http://{_LOCAL}:{services.s3_port}",
        }
        folder = self._folder / f"server-{version.key}"
        folder.mkdir(parents=True, exist_ok=True)
        service = mlflow_service(version, folder, settings, port, ())
        variables = {**service.variables, "MLFLOW_POSTGRES_DB": database}
        supervisor = Supervisor([replace(service, variables=variables)], folder, _nothing, {})
        try:
            supervisor.start()
            yield f"http://{_LOCAL}:{port}"
        finally:
            supervisor.stop()


def _nothing(line: str) -> None:
    """Print nothing: the server is started for this upgrade only."""
