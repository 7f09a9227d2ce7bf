"""``make stack``: the platform as local processes, one command up and one down."""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wine_quality.cli.exits import fail, interrupt_on, show
from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, EnvironmentMissingError
from wine_quality.paths import CheckoutMissingError, require_checkout
from wine_quality.stack.platform import Platform, stack_folder
from wine_quality.stack.settings import FOLDER, StackError, env_file, read_settings, write_env_file
from wine_quality.stack.supervisor import Supervisor
from wine_quality.upkeep.restore import UNFINISHED

_STOP_SECONDS = 90
_START_SECONDS = 240


def add_options(command: argparse.ArgumentParser) -> None:
    text = "env: make .env"
    command.add_argument("action", choices=["up", "down", "status", "env"], help=text)
    text = "MLflow servers"
    command.add_argument("--versions", nargs="+", default=[DEFAULT_VERSION], help=text)
    command.add_argument("--detach", action="store_true", help="return when all is ready")
    command.add_argument("--quietly", action="store_true", help=argparse.SUPPRESS)


def stack(options: argparse.Namespace) -> int:
    """Exit code 0 when done as asked, 1 when not; the reason is on stderr."""
    try:
        require_checkout("stack")
        if options.action == "env":
            write_env_file(FOLDER / ".env")
            subprocess.run(["sh", str(FOLDER / "secrets.sh")], check=True, timeout=60)
            print(
                f"{FOLDER / '.env'} has random secrets now, and {FOLDER / 'secrets'} has them as "
                "files for the containers; keep a copy in a safe place."
            )
            return 0
        if options.action == "down":
            return _down()
        if options.action == "status":
            return _status()
        return _detached(options) if options.detach else _up(options)
    except (StackError, EnvironmentMissingError, CheckoutMissingError, ValueError) as error:
        return fail(error)


def _up(options: argparse.Namespace) -> int:
    """Start everything and watch over it until Ctrl-C or SIGTERM."""
    folder = stack_folder()
    folder.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    with _only_one(folder):
        if (folder / UNFINISHED).exists():
            raise StackError(
                "a restore into this stack was interrupted; finish it first: make restore "
                f"FROM={(folder / UNFINISHED).read_text()}"
            )
        # A shell that starts this in the background has SIGINT ignored.
        interrupt_on(signal.SIGINT, signal.SIGTERM)
        settings = read_settings()
        _share_signing_key(settings)
        platform = Platform(options.versions, settings)
        try:
            if platform.postgres:
                show(f"PostgreSQL {platform.postgres.version}, data in {platform.postgres.data}")
                platform.postgres.prepare()
            state: dict[str, Any] = {
                "versions": options.versions,
                "ports": platform.ports,
                "temporary": [str(platform.postgres.sockets)] if platform.postgres else [],
            }
            supervisor = Supervisor(platform.services, folder, show, state)
            try:
                supervisor.start()
                show(f"ready after {time.monotonic() - began:.0f} s\n")
                print(_table(platform, supervisor))
                print("`make stack-down` stops all." if options.quietly else "Ctrl-C stops all.")
                sys.stdout.flush()
                supervisor.watch()
            finally:
                # A second Ctrl-C must not leave half of them running.
                for number in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(number, signal.SIG_IGN)
                show("stopping …")
                supervisor.stop()
                show("stopped; the data is kept")
        except KeyboardInterrupt:
            pass
        finally:
            platform.close()
    return 0


def _share_signing_key(settings: dict[str, str]) -> None:
    """The key of the settings becomes the home's too, for commands on this machine (`make serve`,
    `make trust`); the home's former one stays accepted."""
    from wine_quality.tracking.registry.signing_key import (
        FILE_VARIABLE,
        VARIABLE,
        SigningKeyError,
        add_keys,
    )

    text, origin = settings[VARIABLE], str(VARIABLE)
    try:
        named = FILE_VARIABLE.read()
        if not text and named:
            text, origin = Path(named).read_text(), named
        if text:
            settings[VARIABLE] = ",".join(add_keys(text, origin, sign_with_them=True))
    except (OSError, SigningKeyError) as error:
        raise StackError(str(error)) from None


def _detached(options: argparse.Namespace) -> int:
    """Start another process that does it, show its output, leave when all is ready."""
    folder = stack_folder()
    (folder / "logs").mkdir(parents=True, exist_ok=True)
    log = folder / "logs" / "stack.log"
    command = [sys.executable, "-m", "wine_quality", "stack", "up", "--quietly"]
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*command, "--versions", *options.versions],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    deadline = time.monotonic() + _START_SECONDS
    with log.open() as lines:
        try:
            while time.monotonic() < deadline:
                print(lines.read(), end="", flush=True)
                state = _state(folder)
                if state and state["ready"] and state["pid"] == process.pid:
                    time.sleep(0.2)  # the table is being printed
                    print(lines.read(), end="", flush=True)
                    return 0
                if process.poll() is not None:
                    print(lines.read(), end="", flush=True)
                    return process.returncode or 1
                time.sleep(0.1)
        except KeyboardInterrupt:
            pass
    process.terminate()
    process.wait(_STOP_SECONDS)
    return 1


def _down() -> int:
    """End the running stack and wait until nothing of it is left."""
    folder = stack_folder()
    if not _is_up(folder):
        print("no stack is running")
        return 0
    state = _state(folder)
    if state is None:
        raise StackError("the stack is just starting or stopping; try again")
    os.kill(state["pid"], signal.SIGTERM)
    deadline = time.monotonic() + _STOP_SECONDS
    while _is_up(folder):
        if time.monotonic() > deadline:
            raise StackError(f"process {state['pid']} did not stop in {_STOP_SECONDS} s")
        time.sleep(0.1)
    print("the stack is stopped; its data is kept")
    return 0


def _status() -> int:
    folder = stack_folder()
    state = _state(folder) if _is_up(folder) else None
    if state is None:
        print("no stack is running")
        return 1
    for name, service in state["services"].items():
        how = "given up" if service["given_up"] else f"pid {service['pid']}"
        if service["pid"] or service["given_up"]:
            print(f"{name:<18} {how:<12} restarts {service['restarts']}  {service['address']}")
    return 0


@contextmanager
def _only_one(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel releases when this process ends in any way."""
    with (folder / "lock").open("w") as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(
                f"a stack over {folder} is running already; `make stack-down` stops it."
            ) from None
        yield


def _is_up(folder: Path) -> bool:
    if not (folder / "lock").exists():
        return False
    with (folder / "lock").open() as guard:
        try:
            fcntl.flock(guard, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
    return False


def _state(folder: Path) -> dict[str, Any] | None:
    try:
        return json.loads((folder / "state.json").read_text())
    except FileNotFoundError:
        return None


def _table(platform: Platform, supervisor: Supervisor) -> str:
    rows = [("service", "address", "login (see the settings)", "log")]
    for service in platform.services:
        if service.ready is not None:
            log = supervisor.log_of(service.name).name
            rows.append((service.name, service.address, service.login, log))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = [
        "  ".join(cell.ljust(w) for cell, w in zip(row, (*widths, 0), strict=True)) for row in rows
    ]
    return "\n".join([*lines, f"settings: {env_file()}", f"logs:     {supervisor.logs}"])
