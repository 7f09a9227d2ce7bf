"""PostgreSQL and S3 of the platform in containers, and the code location's home.

PostgreSQL's programs run in its own container, which asks no password on its socket; everything
else goes through the ports that the containers have on this machine, with the secrets of ``.env``.
No secret is on a command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from wine_quality.paths import home
from wine_quality.stack.settings import StackError
from wine_quality.tracking.registry.signing_key import VARIABLE
from wine_quality.upkeep.containers import Containers, find_containers
from wine_quality.upkeep.data_services import PROGRAM_SECONDS, DataServices, own_settings
from wine_quality.upkeep.restore import UNFINISHED

_STORES = ("postgres", "minio")
_CODE = "dagster-code"
_HOME = "/var/lib/wine_quality"
_PACK = 'cd "$1" && mkdir -p history && exec tar -cf - $(ls -d history signing.key 2>/dev/null)'
_UNPACK = (
    'cd "$1" && rm -rf history.restoring && mkdir history.restoring && '
    "tar -xf - -C history.restoring && rm -rf history && mv history.restoring history"
)
_ACCEPT = (
    "import sys; from wine_quality.tracking.registry.signing_key import add_keys; "
    "add_keys(sys.stdin.read(), 'the backup', sign_with_them=False)"
)


@dataclass(frozen=True)
class ContainerServices(DataServices):
    """PostgreSQL and S3 of a compose project.

    Attributes:
        client: The command that runs a program in PostgreSQL's container.
    """

    client: tuple[str, ...] = ()

    def command(self, program: str) -> list[str]:
        return [*self.client, program, f"--username={self.settings['POSTGRES_USER']}"]

    def variables(self) -> dict[str, str]:
        """The engine's, which is asked as this user asks it."""
        return dict(os.environ)


class ContainerHome:
    """The volume of the code location, by a short-lived container of its image."""

    def __init__(self, containers: Containers, settings: dict[str, str]) -> None:
        self._engine = containers.engine
        inspected = containers.call("inspect", "--type", "container", containers.of(_CODE))
        (code,) = json.loads("\n".join(inspected))
        self._image = code["Image"]
        mounts = {mount["Destination"]: mount for mount in code["Mounts"]}
        if _HOME not in mounts:
            raise StackError(f"the code location's container has no volume at {_HOME}")
        self._volume = mounts[_HOME].get("Name") or mounts[_HOME]["Source"]
        self._given = settings[VARIABLE]

    def signing_keys(self) -> str:
        """The keys in the settings, which sign; else those of the volume."""
        if self._given:
            return self._given
        with self._copy() as folder:
            path = folder / "signing.key"
            return path.read_text() if path.exists() else ""

    def accept(self, keys: str, origin: str) -> str:
        if self._given:
            known = self._given.split(",")
            if all(key in known for key in keys.replace(",", " ").split()):
                return ""
            return (
                f"TO DO: append the key in {origin} to {VARIABLE} in .env, behind a comma, run "
                "secrets.sh and start the platform anew; until then its model versions are not "
                "trusted"
            )
        with tempfile.TemporaryFile() as file:
            file.write(keys.encode())
            file.seek(0)
            self._run(file, None, "python", "-c", _ACCEPT)
        return ""

    @contextmanager
    def history(self) -> Iterator[Path | None]:
        with self._copy() as folder:
            yield folder / "history"

    @contextmanager
    def replace_history(self) -> Iterator[Path | None]:
        with tempfile.TemporaryDirectory(prefix="wine-quality-history-") as folder:
            yield Path(folder)
            with tempfile.TemporaryFile() as file:
                with tarfile.open(fileobj=file, mode="w") as packed:
                    packed.add(folder, arcname=".", filter=_as_anybody)
                file.seek(0)
                self._run(file, None, "/bin/sh", "-c", _UNPACK, "sh", _HOME)

    @contextmanager
    def _copy(self) -> Iterator[Path]:
        with tempfile.TemporaryDirectory(prefix="wine-quality-home-") as folder:
            with tempfile.TemporaryFile() as file:
                self._run(None, file, "/bin/sh", "-c", _PACK, "sh", _HOME)
                file.seek(0)
                with tarfile.open(fileobj=file) as packed:
                    packed.extractall(folder, filter="data")
            yield Path(folder)

    def _run(
        self, given: IO[bytes] | None, output: IO[bytes] | None, entry: str, *arguments: str
    ) -> None:
        # Not --volumes-from: podman would start the code location, which a restore has stopped.
        command = [self._engine, "run", "--rm", "-i", "--network=none", "--read-only"]
        command += [f"--volume={self._volume}:{_HOME}", "--security-opt=label=disable"]
        command += ["--user=10001:10001", "--cap-drop=ALL"]
        command += [f"--entrypoint={entry}", self._image, *arguments]
        done = subprocess.run(
            command,
            stdin=given or subprocess.DEVNULL,
            stdout=output or subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            timeout=PROGRAM_SECONDS,
        )
        if done.returncode != 0:
            printed = done.stderr.decode(errors="replace").strip()[-800:]
            raise StackError(f"the home of the code location cannot be reached: {printed}")


@contextmanager
def running(project: str, say: Callable[[str], None]) -> Iterator[DataServices]:
    """PostgreSQL and S3 of the containers, which are up and stay up.

    Raises:
        StackError: they are not up, or do not answer; or PostgreSQL or S3 are servers of one's own.
    """
    yield _services(find_containers(project), say)


@contextmanager
def stopped(project: str, say: Callable[[str], None]) -> Iterator[DataServices]:
    """As ``running``, with the containers that use them stopped meanwhile.

    They start again at the end, unless what was done here is half done.
    """
    containers = find_containers(project)
    services = _services(containers, say)
    keep = {*_STORES, "databases", "buckets"}
    users = sorted(containers.running() - keep)
    if users:
        say(f"stopping {', '.join(users)}")
        containers.call("stop", *map(containers.of, users))
    try:
        yield services
    except BaseException as error:
        say(f"error: {error}")  # before an error of the engine at the start
        raise
    finally:
        if (services.folder / UNFINISHED).exists():
            say(f"{', '.join(users)} stay stopped: the restore has to be finished first")
        else:
            containers.start(users)
            say(f"started {', '.join(users)}")


def _services(containers: Containers, say: Callable[[str], None]) -> ContainerServices:
    settings = own_settings()
    down = [service for service in _STORES if service not in containers.running()]
    if down:
        raise StackError(
            f"{' and '.join(down)} of the compose project {containers.project} are not running; "
            "start the platform first (docs/how-to/containers.md)."
        )
    if warning := containers.warning():
        say(warning)
    folder = home() / f"compose-{containers.project}"
    folder.mkdir(parents=True, exist_ok=True)
    client = (containers.engine, "exec", "-i", containers.of("postgres"))
    where = Path(), "", int(settings["POSTGRES_PORT"]), int(settings["MINIO_PORT"]), folder
    asking = ContainerServices(settings, *where, client=client)
    with closing(asking.connect("postgres")) as connection, connection.cursor() as cursor:
        cursor.execute("SHOW server_version")
        version = cursor.fetchone()[0].split()[0]
    asking.require_buckets()
    say(f"{containers.engine}, compose project {containers.project}, PostgreSQL {version}")
    there = where[0], version, *where[2:]
    return ContainerServices(
        settings, *there, home=ContainerHome(containers, settings), client=client
    )


def _as_anybody(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    """Reset the owner of an entry: the unpacked file belongs to the container's user."""
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = ""
    return entry
