"""The stores and servers that runs are looked for in. Imports no MLflow."""

from __future__ import annotations

import base64
import os
import urllib.error
import urllib.request
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import SplitResult, unquote, urlsplit

from wine_quality.environments.mlflow_versions import (
    MLFLOW_VERSIONS,
    MlflowVersion,
    default_version,
)
from wine_quality.paths import embedded_store, running_state
from wine_quality.stack.platform import stack_folder
from wine_quality.tracking.servers.addresses import uri_variable, without_password
from wine_quality.tracking.servers.embedded_store import DATABASE, embedded_uri

_ANSWER_SECONDS = 5


@dataclass(frozen=True)
class Store:
    """The store that a version's client looks for runs in.

    Attributes:
        version: Key of the MLflow version that reads it.
        uri: For MLflow's client.
        title: In words, without a password.
    """

    version: str
    uri: str
    title: str


def known_stores(servers: Iterable[str] = ()) -> list[Store]:
    """All that this home and this environment know, each once: embedded stores, servers that the
    environment names, those of the `make stack` that runs.

    Args:
        servers: Addresses of further servers.
    """
    found: dict[tuple[str, str], Store] = {}
    for store in (*_embedded(), *_of_stack(), *_configured(), *_given(servers)):
        found.setdefault((store.version, store.uri.rstrip("/")), store)
    return list(found.values())


def server_store(version: str, uri: str) -> Store:
    return Store(version, uri, f"{without_password(uri)} (MLflow {version})")


def _embedded() -> Iterator[Store]:
    for key in MLFLOW_VERSIONS:
        database = embedded_store(key) / DATABASE
        if database.exists() and database.stat().st_size:
            title = f"the embedded store of MLflow {key} ({database.parent})"
            yield Store(key, embedded_uri(key), title)


def _of_stack() -> Iterator[Store]:
    ports = running_stack_ports(stack_folder())
    for key in MLFLOW_VERSIONS:
        if f"mlflow-{key}" in ports:
            uri = f"http://127.0.0.1:{ports[f'mlflow-{key}']}"
            yield Store(key, uri, f"the server of MLflow {key} of `make stack` ({uri})")


def running_stack_ports(folder: Path) -> dict[str, int]:
    """Ports by service of the stack that runs over this home; none when none runs."""
    ports = running_state(folder / "state.json", "ports")
    return dict(ports) if isinstance(ports, dict) else {}


def _configured() -> Iterator[Store]:
    for key in MLFLOW_VERSIONS:
        uri = os.environ.get(uri_variable(key))
        if uri:
            yield server_store(key, uri)
    yield from _given([os.environ.get("MLFLOW_TRACKING_URI", "")])


def _given(servers: Iterable[str]) -> Iterator[Store]:
    for uri in servers:
        if uri:
            yield from (server_store(version.key, uri) for version in fitting_versions(uri))


def fitting_versions(uri: str) -> list[MlflowVersion]:
    """The versions whose clients may read a server, the best first, by the version it reports.

    For a server that reports none, or asks for a login that is not known, all clients are tried,
    the newest first.
    """
    if not uri.startswith(("http://", "https://")):
        # MLflow 3 writes the store that it works on into the environment.
        own = [one for one in MLFLOW_VERSIONS.values() if uri == embedded_uri(one.key)]
        return own or [MLFLOW_VERSIONS[default_version()]]
    newest_first = sorted(MLFLOW_VERSIONS.values(), key=lambda one: -one.major)
    major = _major_of(uri)
    if major is None:
        return newest_first
    fitting = [one for one in newest_first if major in one.servers]
    same = [one for one in fitting if one.major == major]
    return (same or fitting)[:1]


def _major_of(uri: str) -> int | None:
    """Major version of an MLflow server; None when unknown. 1.26 has /health and no /version."""
    try:
        version = _get(f"{uri.rstrip('/')}/version").partition(".")[0]
        return int(version) if version.isdecimal() else None
    except urllib.error.HTTPError as error:
        if error.code != 404:
            return None
    except (OSError, ValueError):
        return None
    try:
        return 1 if _get(f"{uri.rstrip('/')}/health") == "OK" else None
    except (OSError, ValueError):
        return None


def _get(url: str) -> str:
    parts = urlsplit(url)
    # urllib would take a login in the address for part of the host.
    url = parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
    request = urllib.request.Request(url, headers=_login(parts))
    with urllib.request.urlopen(request, timeout=_ANSWER_SECONDS) as answer:
        return answer.read(1000).decode("utf-8", "replace").strip()


def _login(parts: SplitResult) -> dict[str, str]:
    """The header that MLflow's clients send: the login in the address, else that of the
    environment."""
    if parts.username is not None:
        user, password = unquote(parts.username), unquote(parts.password or "")
    else:
        user = os.environ.get("MLFLOW_TRACKING_USERNAME", "")
        password = os.environ.get("MLFLOW_TRACKING_PASSWORD", "")
    if user and password:
        both = base64.b64encode(f"{user}:{password}".encode()).decode()
        return {"Authorization": f"Basic {both}"}
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}
