"""Start the Dagster UI with its daemon, and the MLflow UIs of all versions."""

from __future__ import annotations

import argparse
import asyncio
import shutil
import socket
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wine_quality.cli.exits import BAD_USE, fail
from wine_quality.cli.options import add_mlflow
from wine_quality.environments.build import require_built
from wine_quality.environments.mlflow_versions import (
    EnvironmentMissingError,
    default_version,
    get_version,
)
from wine_quality.paths import dagster_home_in_use, home
from wine_quality.up.lock import AlreadyUpError, only_one
from wine_quality.up.mlflow_uis import MlflowUis
from wine_quality.up.platform import Platform, ProcessEndedError
from wine_quality.up.ports import PortTakenError, listen, port_of

DAGSTER_PORT, MLFLOW_PORT = 5000, 5100


def add_options(command: argparse.ArgumentParser) -> None:
    text = "of the Dagster UI (5000, or a free one)"
    command.add_argument("--port", type=int, help=text)
    text = "of the first MLflow UI (5100; the next ones follow)"
    command.add_argument("--mlflow-port", type=int, help=text)
    add_mlflow(command)


def up(options: argparse.Namespace) -> int:
    """Run all of it until Ctrl-C or until a part ends; nothing is left behind."""
    try:
        version = get_version(options.mlflow or default_version())
        require_built(version)
    except (ValueError, EnvironmentMissingError) as error:
        return fail(error, BAD_USE)
    try:
        with only_one([home(), dagster_home_in_use()]) as note_address, _sockets() as sockets:
            dagster = _listen(options.port, DAGSTER_PORT, "Dagster UI")
            uis = _mlflow_uis(options.mlflow_port, version.key, sockets, dagster)
            note_address(f"http://localhost:{port_of(dagster)}")
            platform = Platform(version, dagster, uis, sockets)
            return asyncio.run(platform.run())
    except (AlreadyUpError, PortTakenError, ProcessEndedError) as error:
        return fail(error)
    except KeyboardInterrupt:
        return 0


def _listen(given: int | None, usual: int, what: str) -> socket.socket:
    listening, changed = listen(
        usual if given is None else given, given=given is not None, what=what
    )
    if changed:
        print(changed, file=sys.stderr, flush=True)
    return listening


def _mlflow_uis(given: int | None, first: str, sockets: Path, dagster: socket.socket) -> MlflowUis:
    """The first version on the port asked for, the others on those after it, if they are free."""
    listening = {first: _listen(given, MLFLOW_PORT, f"MLflow {first} UI")}
    usual = port_of(listening[first])
    for key in MlflowUis.others(first):
        usual += 1
        listening[key] = _listen(None, usual, f"MLflow {key} UI")
    return MlflowUis(listening, sockets, f"http://localhost:{port_of(dagster)}")


@contextmanager
def _sockets() -> Iterator[Path]:
    """A folder that only this user may enter; in a home their paths might be too long."""
    folder = Path(tempfile.mkdtemp(prefix="wine-quality-up-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
