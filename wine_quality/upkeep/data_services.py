"""PostgreSQL and S3 of the local stack: those that run, or started while they are needed."""

from __future__ import annotations

import fcntl
import json
import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS
from wine_quality.settings.places import ASSETS_KEY, ASSETS_SECRET
from wine_quality.stack.buckets import s3_client
from wine_quality.stack.platform import Platform, stack_folder
from wine_quality.stack.postgres import PostgresServer
from wine_quality.stack.service import base_variables
from wine_quality.stack.settings import StackError, read_settings
from wine_quality.stack.supervisor import Supervisor
from wine_quality.upkeep.home_files import Home, LocalHome

PROGRAM_SECONDS = 3600
_DATA = ("postgres", "databases", "s3", "buckets")


@dataclass(frozen=True)
class DataServices:
    """PostgreSQL and S3: their addresses, client programs and keys."""

    settings: dict[str, str]
    programs: Path
    postgres_version: str
    postgres_port: int
    s3_port: int
    folder: Path
    """Holds what a restore that has not ended left, and the lock of backup and gc."""
    home: Home = field(default_factory=LocalHome)

    def databases(self) -> list[tuple[str, str]]:
        """Name and owner of each database; one that refers to another comes before it.

        A Dagster run and a row of the metrics name MLflow runs, never the other way round.
        """
        settings = self.settings
        mlflow = settings["MLFLOW_POSTGRES_USER"]
        return [
            (settings["DAGSTER_POSTGRES_DB"], settings["DAGSTER_POSTGRES_USER"]),
            (settings["METRICS_POSTGRES_DB"], settings["METRICS_POSTGRES_USER"]),
            *((database, mlflow) for database in self.mlflow_databases().values()),
        ]

    def run(self, what: str, program: str, *arguments: str, read: Path | None = None) -> bytes:
        """A client program of PostgreSQL's, as the administrator, to its end.

        Args:
            read: A file that it gets as its standard input.

        Returns:
            What it wrote to its standard output.

        Raises:
            StackError: it failed; ``what`` names it.
        """
        with tempfile.TemporaryFile() as output:
            self.write(what, output, program, *arguments, read=read)
            output.seek(0)
            return output.read()

    def write(
        self, what: str, output: IO[bytes], program: str, *arguments: str, read: Path | None = None
    ) -> None:
        """As ``run``, with its standard output written to a file."""
        with (read or Path(os.devnull)).open("rb") as given:
            done = subprocess.run(
                [*self.command(program), "--no-password", *arguments],
                env=self.variables(),
                stdin=given,
                stdout=output,
                stderr=subprocess.PIPE,
                timeout=PROGRAM_SECONDS,
            )
        if done.returncode != 0:
            printed = done.stderr.decode(errors="replace").strip()[-800:]
            raise StackError(f"{what} failed: {printed}")

    def command(self, program: str) -> list[str]:
        """The command line that starts a client program of PostgreSQL's."""
        return [str(self.programs / program)]

    def variables(self) -> dict[str, str]:
        return {
            **base_variables(),
            "LC_ALL": "C",
            "PGHOST": "127.0.0.1",
            "PGPORT": str(self.postgres_port),
            "PGUSER": self.settings["POSTGRES_USER"],
            "PGPASSWORD": self.settings["POSTGRES_PASSWORD"],
            "PGCONNECT_TIMEOUT": "10",
        }

    def mlflow_databases(self) -> dict[str, str]:
        """Names of the databases of the MLflow servers, by MLflow version."""
        return {key: f"mlflow_{key.replace('.', '_')}" for key in MLFLOW_VERSIONS}

    def connect(self, database: str) -> Any:
        """A connection as the administrator; the caller closes it.

        Raises:
            StackError: PostgreSQL refuses it.
        """
        import psycopg2

        try:
            return psycopg2.connect(
                host="127.0.0.1",
                port=self.postgres_port,
                dbname=database,
                user=self.settings["POSTGRES_USER"],
                password=self.settings["POSTGRES_PASSWORD"],
                connect_timeout=10,
            )
        except psycopg2.OperationalError as error:
            raise StackError(f"PostgreSQL refuses the administrator: {error}".strip()) from None

    def require_buckets(self) -> None:
        """See that both are there and open to the keys of the settings.

        Raises:
            StackError: one is not.
        """
        from botocore.exceptions import BotoCoreError, ClientError

        for client, bucket in self.buckets().values():
            try:
                client.head_bucket(Bucket=bucket)
            except (BotoCoreError, ClientError) as error:
                raise StackError(f"the bucket {bucket} cannot be used: {error}") from None

    def buckets(self) -> dict[str, tuple[Any, str]]:
        """A client and the name of each bucket, by what it is for."""
        settings = self.settings
        mlflow = self._s3(settings["AWS_ACCESS_KEY_ID"], settings["AWS_SECRET_ACCESS_KEY"])
        assets = self._s3(settings[ASSETS_KEY], settings[ASSETS_SECRET])
        return {
            "mlflow": (mlflow, settings["MLFLOW_BUCKET"]),
            "assets": (assets, settings["ASSETS_BUCKET"]),
        }

    def _s3(self, key: str, secret: str) -> Any:
        endpoint, region = f"http://127.0.0.1:{self.s3_port}", self.settings["AWS_DEFAULT_REGION"]
        return s3_client(key, secret, 60, endpoint_url=endpoint, region_name=region)


@contextmanager
def running(say: Callable[[str], None]) -> Iterator[DataServices]:
    """PostgreSQL and S3 of the stack that is up, else started here and stopped at the end.

    Raises:
        StackError: PostgreSQL or S3 are servers of one's own, or do not start.
    """
    settings = own_settings()
    with _lock() as free:
        if free:
            with started(say, settings) as services:
                yield services
            return
        ports = _ports_of_running()
        server = PostgresServer(stack_folder() / "postgres", settings, ports["postgres"])
        try:
            yield _local(settings, server, ports)
        finally:
            server.close()


def is_up() -> bool:
    """Whether the stack runs, or PostgreSQL and S3 of it for another command."""
    with _lock() as free:
        return not free


@contextmanager
def kept_down() -> Iterator[dict[str, str]]:
    """The settings of a stack that is down, and cannot be started in this ``with``.

    Raises:
        StackError: PostgreSQL or S3 are servers of one's own; or the stack is up.
    """
    settings = own_settings()
    with _lock() as free:
        if not free:
            raise StackError("the stack is up; stop it with `make stack-down`, then try again.")
        yield settings


@contextmanager
def stopped(say: Callable[[str], None]) -> Iterator[DataServices]:
    """PostgreSQL and S3, started for this ``with`` only.

    Raises:
        StackError: as ``running``; or the stack is up.
    """
    with kept_down() as settings, started(say, settings) as services:
        yield services


@contextmanager
def started(say: Callable[[str], None], settings: dict[str, str]) -> Iterator[DataServices]:
    platform = Platform([DEFAULT_VERSION], settings)
    assert platform.postgres is not None
    try:
        platform.postgres.prepare()
        wanted = [service for service in platform.services if service.name in _DATA]
        temporary = [str(platform.postgres.sockets)]
        supervisor = Supervisor(wanted, platform.folder, say, {"temporary": temporary})
        try:
            supervisor.start()
            yield _local(settings, platform.postgres, platform.ports)
        finally:
            supervisor.stop()
    finally:
        platform.close()


def _local(settings: dict[str, str], server: PostgresServer, ports: dict[str, int]) -> DataServices:
    found = ports["postgres"], ports["s3"], stack_folder()
    return DataServices(settings, server.bin, server.version, *found)


def own_settings() -> dict[str, str]:
    """The settings of a platform that runs PostgreSQL and S3 itself.

    Raises:
        StackError: one of them is a server of one's own.
    """
    settings = read_settings()
    for name, what in (("POSTGRES_HOST", "PostgreSQL"), ("AWS_ENDPOINT_URL", "S3")):
        if settings[name]:
            raise StackError(
                f"{name} names {what} of your own: back it up by its own tools, PostgreSQL first, "
                "Dagster's database before MLflow's, then the buckets."
            )
    return settings


@contextmanager
def only_upkeep(folder: Path) -> Iterator[None]:
    """Keep backup and gc apart, without waiting: one removes what the other may be about to copy.

    Args:
        folder: That of the ``DataServices``.

    Raises:
        StackError: another one is at work.
    """
    with (folder / "upkeep.lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError("a backup or `make gc` is going on; try again after it.") from None
        yield


def _ports_of_running() -> dict[str, int]:
    try:
        state = json.loads((stack_folder() / "state.json").read_text())
    except FileNotFoundError:
        state = {"ready": False}
    if not state["ready"] or "ports" not in state:
        raise StackError("the stack is just starting or stopping; try again.")
    return state["ports"]


@contextmanager
def _lock() -> Iterator[bool]:
    """Whether no stack is up; while this lock is held, none can start."""
    folder = stack_folder()
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("a") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
