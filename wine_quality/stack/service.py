"""A service of the stack: its process, the services it waits for, its readiness check."""

from __future__ import annotations

import json
import os
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

_PROBE_SECONDS = 2.0


@dataclass(frozen=True)
class Service:
    """One process of the stack.

    Attributes:
        name: Also of its log file.
        command: Program and arguments.
        variables: Its whole environment.
        folder: Where it runs.
        ready: Asked again and again once it runs. A task (None) is ready when it has ended well.
        after: Names of the services that must be ready before it starts.
        address: Where people or programs reach it, for the table.
        login: Whose credentials, for the table.
        stop_signal: What makes it end in an orderly way.
        user: User and group id to run as, when it must not be root.
    """

    name: str
    command: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    ready: Callable[[], bool] | None
    after: tuple[str, ...] = ()
    address: str = ""
    login: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    user: tuple[int, int] | None = None


def base_variables() -> dict[str, str]:
    """This process's environment without what only some services may see, or get from us."""
    kept_out = (
        "AWS_",
        "BIND_ADDRESS",
        "DAGSTER_",
        "MLFLOW_",
        "MINIO_",
        "PG",
        "POSTGRES_",
        "PROXY_",
    )
    ours = ("ALLOWED", "ASSETS", "MLFLOW_U", "METRICS_URL")
    own = ("MAKE", "METRICS_POSTGRES_", *(f"WINE_QUALITY_{name}" for name in ours))
    return {
        name: value for name, value in os.environ.items() if not name.startswith(kept_out + own)
    }


def with_home(folder: Path, variables: Mapping[str, str]) -> dict[str, str]:
    """A HOME of its own: gunicorn opens a control socket there, one server would meet another's."""
    folder.mkdir(parents=True, exist_ok=True)
    return {**base_variables(), "HOME": str(folder), **variables}


def http_answers(url: str, *, statuses: tuple[int, ...] = (200,)) -> Callable[[], bool]:
    """Ready when ``url`` answers with one of ``statuses``."""

    def ready() -> bool:
        try:
            with urllib.request.urlopen(url, timeout=_PROBE_SECONDS) as answer:
                return answer.status in statuses
        except urllib.error.HTTPError as error:
            return error.code in statuses
        except (OSError, ValueError):
            return False

    return ready


def port_answers(address: str, port: int) -> Callable[[], bool]:
    """Ready when the port accepts connections."""

    def ready() -> bool:
        try:
            with socket.create_connection((address, port), timeout=_PROBE_SECONDS):
                return True
        except OSError:
            return False

    return ready


def graphql_answers(url: str, query: str, holds: Callable[[dict], bool]) -> Callable[[], bool]:
    """Ready when the webserver's answer to a query is as wanted."""
    body = json.dumps({"query": query}).encode()

    def ready() -> bool:
        request = urllib.request.Request(
            f"{url}/graphql", data=body, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=2 * _PROBE_SECONDS) as answer:
                return holds(json.loads(answer.read())["data"])
        except (OSError, ValueError, KeyError, TypeError):
            return False

    return ready
