"""A running `make stack`, as its user sees it, and its processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.settings import EXAMPLE, read_file
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition

UP_SECONDS = 240


class Stack(DagsterStack):
    """Starts and stops the stack over one home by the command line, and talks to its webserver."""

    def __init__(self, home: Path, versions: list[str], **settings: str) -> None:
        self.home, self.versions = home, versions
        self.settings = {**read_file(EXAMPLE), **settings}
        self.environment = {**os.environ, **settings, "WINE_QUALITY_HOME": str(home)}

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "wine_quality", "stack", *arguments]

    def call(
        self, *arguments: str, seconds: float = UP_SECONDS
    ) -> subprocess.CompletedProcess[str]:
        """A command of the stack's, as it ended."""
        return subprocess.run(
            self.command(*arguments),
            env=self.environment,
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=seconds,
        )

    def up(self) -> str:
        """Start it in the background; what it said until it was ready."""
        done = self.call("up", "--detach", "--versions", *self.versions)
        assert done.returncode == 0, done.stdout + done.stderr
        self.url = f"http://127.0.0.1:{self.state['ports']['dagster-webserver']}"
        return done.stdout

    def down(self) -> str:
        done = self.call("down")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def state(self) -> dict[str, Any]:
        return json.loads((self.home / "stack" / "state.json").read_text())

    @property
    def services(self) -> dict[str, dict[str, Any]]:
        """Those that run, by name; tasks that are done are not among them."""
        return {name: s for name, s in self.state["services"].items() if s["pid"]}

    def mlflow(self, version: str) -> str:
        return f"http://127.0.0.1:{self.state['ports'][f'mlflow-{version}']}"

    def bucket(self, name: str, key: str, secret: str) -> dict[str, int]:
        """Size of each object of a bucket, by its key, asked with the keys of these settings."""
        client = self.s3(key, secret)
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=self.settings[name])
        return {entry["Key"]: entry["Size"] for page in pages for entry in page.get("Contents", [])}

    def s3(self, key: str, secret: str) -> Any:
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.state['ports']['s3']}",
            region_name=self.settings["AWS_DEFAULT_REGION"],
            aws_access_key_id=self.settings[key],
            aws_secret_access_key=self.settings[secret],
        )

    def artifacts(self) -> dict[str, int]:
        return self.bucket("MLFLOW_BUCKET", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")

    def assets(self) -> dict[str, int]:
        return self.bucket("ASSETS_BUCKET", "WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET")

    def query(self, database: str, role: str, sql: str) -> list[tuple[Any, ...]]:
        """Rows of a query as one of the platform's roles (``DAGSTER``, ``MLFLOW``, …)."""
        import psycopg2

        connection = psycopg2.connect(
            host="127.0.0.1",
            port=self.state["ports"]["postgres"],
            dbname=database,
            user=self.settings[f"{role}_POSTGRES_USER"],
            password=self.settings[f"{role}_POSTGRES_PASSWORD"],
            connect_timeout=10,
        )
        try:
            with connection.cursor() as cursor:
                cursor.execute(sql)
                return cursor.fetchall()
        finally:
            connection.close()

    def kill(self, name: str, number: int) -> None:
        """Send a signal to a service and wait until it is there again."""
        before = self.state["services"][name]
        os.kill(before["pid"], number)

        def again() -> bool:
            now = self.state["services"][name]
            return now["ready"] and now["pid"] and now["restarts"] == before["restarts"] + 1

        await_condition(again, f"{name} to be restarted", 120)


def descendants(pid: int) -> list[int]:
    """Every process below one."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(") ")[2].split()[1])
            except OSError:
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        below = children.get(left.pop(), [])
        found += below
        left += below
    return found


def environment_of(pid: int) -> dict[str, str]:
    """Environment variables of a process; empty when it has ended."""
    try:
        text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    except OSError:
        return {}
    return dict(entry.split("=", 1) for entry in text.split("\0") if "=" in entry)


def warm_processes(home: Path) -> list[int]:
    """The processes of a home that runs are forked from, and the runs."""
    pids = (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
    folder = "WINE_QUALITY_WARM_FOLDER"
    return [pid for pid in pids if environment_of(pid).get(folder, "").startswith(str(home))]


def processes_of(home: Path) -> list[str]:
    """Command lines of the processes that were started for a home, PostgreSQL's included."""
    found = []
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit() or int(entry.name) == os.getpid():
            continue
        if any(str(home) in value for value in environment_of(int(entry.name)).values()):
            try:
                found.append((entry / "cmdline").read_bytes().replace(b"\0", b" ").decode())
            except OSError:
                continue
    return found
