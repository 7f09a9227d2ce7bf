"""The attacked: `make up`, `make stack` and compose as they are started, with secrets in them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

import requests

from wine_quality.paths import PROJECT_ROOT
from wine_quality.policy.settings import EVERYTHING
from wine_quality_tests.attacks.table import World
from wine_quality_tests.support.canaries import MARK, canaries, in_files
from wine_quality_tests.support.compose import Compose
from wine_quality_tests.support.dagster_stack import READY_SECONDS, DagsterStack
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port
from wine_quality_tests.support.stack_client import Stack

_RUN = """query R($run: ID!) { runOrError(runId: $run) { ... on Run { status } }
  logsForRun(runId: $run) { ... on EventConnection { events {
    __typename
    ... on MessageEvent { message }
    ... on ErrorEvent { error { message stack causes { message stack } } } } } } }"""

SECRETS = {
    # No secret: MLflow notes who logged a model.
    "MLFLOW_TRACKING_USERNAME": "somebody",
    "MLFLOW_TRACKING_PASSWORD": f"{MARK}-mlflow",
    "PGPASSWORD": f"{MARK}-postgres",
    "AWS_ACCESS_KEY_ID": f"{MARK}AWSKEY",
    "AWS_SECRET_ACCESS_KEY": f"{MARK}-aws",
    "WINE_QUALITY_ASSETS_SECRET": f"{MARK}-assets",
    "WINE_QUALITY_SIGNING_KEY": f"{MARK}-signing".ljust(64, "x"),
    "WINE_QUALITY_NOTIFY_SLACK_TOKEN": f"{MARK}-slack",
}


class Front(Protocol):
    """A running platform.

    Attributes:
        auth: Name and password that are asked for before it.
        attacker: The address of the attacker's servers as it sees them.
    """

    home: Path
    url: str
    auth: tuple[str, str] | None
    attacker: str

    def launch(
        self,
        config: dict[str, Any],
        assets: list[str] | None,
        job: str | None,
        *,
        ops: list[str] | None = None,
    ) -> str: ...

    def leaks(self) -> list[str]:
        """Where a canary is that no service keeps there."""

    def wait(self, run_id: str, seconds: float) -> str: ...

    def graphql(self, query: str, **variables: Any) -> Any: ...


def log_of(front: Front, run_id: str) -> str:
    """All that the run's log shows to whoever may see it, traces included."""
    return "\n".join(_texts(front.graphql(_RUN, run=run_id)))


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from _texts(one)
    elif isinstance(value, list):
        for one in value:
            yield from _texts(one)


def environment(home: Path, delivered: Path) -> dict[str, str]:
    """Of this process without what it trusts, and with the secrets."""
    dropped = {*EVERYTHING, "DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_METRICS_URL"}
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {
        **kept,
        **SECRETS,
        "WINE_QUALITY_HOME": str(home),
        "WINE_QUALITY_ALLOWED_ROOTS": str(delivered),
    }


def _leaks_of_home(home: Path) -> list[str]:
    # The owner's alone, by test_stack; PostgreSQL's own files hold hashes of passwords.
    stack = home / "stack"
    but = {home / "signing.key", stack / "s3" / "nanio.toml", stack / "postgres" / "data"}
    but.add(stack / "dagster" / "run_variables.json")
    return list(in_files(home, but))


class Up(DagsterStack):
    """`make up`."""

    auth, attacker = None, "127.0.0.1"

    def __init__(self, home: Path, delivered: Path) -> None:
        self.home = home
        self.environment = environment(home, delivered)
        home.mkdir(parents=True)
        port, self.mlflow_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._log = home / "up.log"
        command = [sys.executable, "-m", "wine_quality", "up", "--port", str(port)]
        self._process = subprocess.Popen(
            dying_with_us(*command, "--mlflow-port", str(self.mlflow_port)),
            stdout=self._log.open("wb"),
            stderr=subprocess.STDOUT,
            env=self.environment,
            cwd=PROJECT_ROOT,
            start_new_session=True,
        )
        try:
            await_condition(self._is_ready, "make up", 2 * READY_SECONDS)
        except AssertionError as error:
            self.stop()
            raise AssertionError(self._log.read_text()[-3000:]) from error

    def _is_ready(self) -> bool:
        query = "{ workspaceOrError { ... on Workspace { locationEntries { loadStatus } } } }"
        assert self._process.poll() is None, self._log.read_text()[-3000:]
        try:
            entries = self.graphql(query)["workspaceOrError"]["locationEntries"]
        except (requests.RequestException, AssertionError):
            return False
        return [entry["loadStatus"] for entry in entries] == ["LOADED"]

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(60)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def leaks(self) -> list[str]:
        return _leaks_of_home(self.home)


class LocalStack(Stack):
    """`make stack`."""

    auth, attacker = None, "127.0.0.1"

    def __init__(self, home: Path, delivered: Path, versions: list[str]) -> None:
        super().__init__(home, versions, **canaries())
        given = environment(home, delivered)
        # As the stack's own commands see it; the code server gets what the stack gives it.
        self.environment = {**given, **canaries()}
        home.mkdir(parents=True)
        self.up()

    def stop(self) -> None:
        self.down()

    def leaks(self) -> list[str]:
        return _leaks_of_home(self.home)


class InContainers(Compose):
    """`podman-compose up` or `docker compose up`, through the proxy."""

    def __init__(self, home: Path, world: World) -> None:
        # What the attacker has is in the code location's container too, at the same place.
        places = [f"{world.loot}:{world.loot}:z", f"{world.kept}:{world.kept}:z"]
        places.append(f"{world.delivered}:{world.delivered}:ro,z")
        own = {"services": {"dagster-code": {"volumes": places}}}
        secrets = {**canaries(), "WINE_QUALITY_ALLOWED_ROOTS": str(world.delivered)}
        super().__init__(home, f"attack{os.getpid()}", own=own, **secrets)
        try:
            self.up()
        except BaseException:
            self.stop()
            raise
        self.attacker = self.gateway()

    def leaks(self) -> list[str]:
        found = [text for text in (self.logs(), self.inspected()) if MARK in text]
        # PostgreSQL's own files hold hashes of passwords.
        for name in ("dagster-home", "minio-objects", "wine-quality-home", "proxy-data"):
            place = self.volume(name)
            # The last two have nothing in them unless a setting says so.
            if any(place.iterdir()) or name in ("dagster-home", "minio-objects"):
                found += in_files(place, {place / "signing.key"})
        return found
