"""The platform's settings, read from the file that the containers read too.

Standard library only: the process that watches over the services stays small.
"""

from __future__ import annotations

import ipaddress
import os
import re
import secrets
import socket
import sys
from collections.abc import Mapping
from pathlib import Path

from wine_quality.escaping import ProjectError
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.platform import ENV_FILE

FOLDER = PROJECT_ROOT / "deploy" / "docker-compose"
EXAMPLE = FOLDER / ".env.example"
SECRETS = (
    "POSTGRES_PASSWORD",
    "DAGSTER_POSTGRES_PASSWORD",
    "MLFLOW_POSTGRES_PASSWORD",
    "METRICS_POSTGRES_PASSWORD",
    "MINIO_ROOT_USER",
    "MINIO_ROOT_PASSWORD",
    "WINE_QUALITY_ASSETS_KEY",
    "WINE_QUALITY_ASSETS_SECRET",
    "WINE_QUALITY_SIGNING_KEY",
    "PROXY_PASSWORD",
)
# The MLflow servers use the store's first user.
_SAME = {"AWS_ACCESS_KEY_ID": "MINIO_ROOT_USER", "AWS_SECRET_ACCESS_KEY": "MINIO_ROOT_PASSWORD"}
_TRIES = 20
_claimed: dict[int, socket.socket] = {}


class StackError(ProjectError, RuntimeError):
    """The stack cannot be started; the message names the remedy."""


def env_file() -> Path:
    """``$WINE_QUALITY_ENV_FILE``, else ``.env`` where there is one, else the example."""
    named = ENV_FILE.read()
    if named:
        return Path(named)
    own = FOLDER / ".env"
    return own if own.exists() else EXAMPLE


def read_file(path: Path) -> dict[str, str]:
    """``NAME=value`` lines without quotes, as compose reads them.

    Raises:
        StackError: no such file, or a line of another form.
    """
    try:
        lines = path.read_text().splitlines()
    except OSError as error:
        raise StackError(f"the settings cannot be read: {error}") from None
    values = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=([^\s'\"$]*)", line.strip())
        if found is None:
            raise StackError(f"{path}:{number}: not NAME=value without spaces, quotes and $")
        values[found[1]] = found[2]
    return values


def read_settings() -> dict[str, str]:
    """All settings, each from the environment, else the file, else the example.

    Raises:
        StackError: see ``read_file``; a secret is empty, a port is none; or demo values would be
            reachable from other machines.
    """
    path, example = env_file(), read_file(EXAMPLE)
    values = {**example, **read_file(path)}
    values = {name: os.environ.get(name) or value for name, value in values.items()}
    _require_values(values, path)
    _forbid_public_demo(values, example, path)
    return values


def _require_values(values: Mapping[str, str], path: Path) -> None:
    needed = {*SECRETS, *_SAME} - {"WINE_QUALITY_SIGNING_KEY"}
    empty = sorted(name for name in needed if not values[name])
    if empty:
        raise StackError(
            f"{path} has no value for {', '.join(empty)}: set it, or make random ones with "
            "`make stack-env`."
        )
    for name, value in values.items():
        if name.endswith("_PORT") and not (value.isdecimal() and 1 <= int(value) <= 65535):
            raise StackError(
                f"{name} is {value!r}; a port is a number from 1 to 65535. Set it in {path}."
            )


def _forbid_public_demo(values: Mapping[str, str], example: Mapping[str, str], path: Path) -> None:
    if is_loopback(values["BIND_ADDRESS"]):
        return
    # An empty one is not a demo value: the home's own key is used.
    demo = [name for name in SECRETS if values[name] and values[name] == example[name]]
    if demo:
        raise StackError(
            f"BIND_ADDRESS is {values['BIND_ADDRESS']}, but {', '.join(demo)} in {path} have the "
            "demo values that everybody knows. Make random ones with `make stack-env`, or set "
            "BIND_ADDRESS=127.0.0.1."
        )
    if values["PROXY_TLS"] == "off":
        raise StackError(
            f"BIND_ADDRESS is {values['BIND_ADDRESS']}, but without TLS everybody on the way reads "
            "the password. Set PROXY_TLS=internal or files (SECURITY.md), or "
            "BIND_ADDRESS=127.0.0.1."
        )


def is_loopback(address: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


def write_env_file(path: Path) -> None:
    """The example with random secrets, for its owner's eyes only.

    Raises:
        StackError: the file is there already.
    """
    text = EXAMPLE.read_text()
    drawn = {name: secrets.token_hex(16) for name in SECRETS}
    drawn.update({name: drawn[source] for name, source in _SAME.items()})
    for name, value in drawn.items():
        text = re.sub(rf"^{name}=.*$", f"{name}={value}", text, flags=re.MULTILINE)
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise StackError(f"{path} is there already; remove it to have new secrets.") from None
    with os.fdopen(descriptor, "w") as file:
        file.write(text)


def choose_port(address: str, *wanted: int) -> int:
    """The first of these ports that is free on ``address``, else one that the system picks.

    No other process that asks gets the same one before this one ends, and this one gets it again
    only where it is wanted.
    """
    for port in [*wanted, *[0] * _TRIES]:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((address, port))
            except OSError:
                continue
            chosen = probe.getsockname()[1]
        if (port and port in _claimed) or _claim(chosen):
            return chosen
    raise StackError(f"no port is free on {address}")


def _claim(port: int) -> bool:
    """Whether it is not another process's already, which will listen there in a moment.

    By a name that only one process of the machine can have, and that ends with it (Linux).
    """
    if sys.platform != "linux":
        return True
    name = socket.socket(socket.AF_UNIX)
    try:
        name.bind(f"\0wine_quality-port-{port}")
    except OSError:
        name.close()
        return False
    _claimed[port] = name
    return True
