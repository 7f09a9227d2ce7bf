"""Start the Dagster UI, its daemon and the MLflow UI over the embedded store."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from wine_quality.data.allowed import EVERYTHING
from wine_quality.environments.versions import PROJECT_ROOT, default_version, get_version
from wine_quality.home import dagster_home, embedded_store, open_dagster, stores_are_made

_POLL_SECONDS = 0.5
_GRACE_SECONDS = 15


def up(options: argparse.Namespace) -> int:
    """Run both until Ctrl-C or until one of them ends; none is left behind."""
    version = get_version(options.mlflow or default_version())
    python = version.require_python()
    store = embedded_store(version.key)
    store.mkdir(parents=True, exist_ok=True)
    mlflow_ui = f"http://localhost:{options.mlflow_port}"
    variables = {
        # Both listen on this machine only: who launches runs there is who started this.
        **EVERYTHING,
        **os.environ,
        "DAGSTER_HOME": os.environ.get("DAGSTER_HOME") or str(dagster_home()),
        "DAGSTER_WEBSERVER_URL": f"http://localhost:{options.port}",
        "WINE_QUALITY_MLFLOW": version.key,
    }
    if not os.environ.get("MLFLOW_TRACKING_URI"):
        variables["WINE_QUALITY_MLFLOW_UI"] = mlflow_ui  # else runs go to that server
    _make_stores(Path(variables["DAGSTER_HOME"]))
    commands = {
        "MLflow": (
            [str(python.with_name("mlflow")), "server"]
            + ["--backend-store-uri", f"sqlite:///{store / 'mlflow.db'}"]
            + ["--default-artifact-root", str(store / "artifacts")]
            + ["--host", "127.0.0.1", "--port", str(options.mlflow_port), "--workers", "1"],
            # gunicorn 27 opens a control socket under HOME: one HOME per server.
            {**version.process_variables(), "HOME": str(store)},
        ),
        "Dagster": (
            [sys.executable, "-m", "dagster", "dev"]
            + ["-w", str(PROJECT_ROOT / "workspace.yaml")]
            + ["--host", "127.0.0.1", "--port", str(options.port)],
            variables,
        ),
    }
    # A shell that starts this in the background has SIGINT ignored, and children inherit that;
    # a handler of our own is reset to the default for them.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, (command, environment) in commands.items():
            processes[name] = subprocess.Popen(
                command, env=environment, cwd=PROJECT_ROOT, start_new_session=True
            )
        print(f"Dagster UI: http://localhost:{options.port}   MLflow UI: {mlflow_ui}")
        print("Ctrl-C stops both.", flush=True)
        while all(process.poll() is None for process in processes.values()):
            time.sleep(_POLL_SECONDS)
        ended = [name for name, process in processes.items() if process.poll() is not None]
        print(f"{' and '.join(ended)} ended; is the port taken?", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    finally:
        _stop(list(processes.values()))


def _make_stores(folder: Path) -> None:
    """Before webserver and daemon would, both at once."""
    if not stores_are_made(folder):
        with open_dagster(folder):
            pass


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _stop(processes: list[subprocess.Popen[bytes]]) -> None:
    for process in processes:
        _signal_group(process, signal.SIGINT)
    deadline = time.monotonic() + _GRACE_SECONDS
    for process in processes:
        try:
            process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            pass
        # The group may hold workers that outlive their parent.
        _signal_group(process, signal.SIGKILL)


def _signal_group(process: subprocess.Popen[bytes], number: int) -> None:
    try:
        os.killpg(process.pid, number)
    except ProcessLookupError:
        pass
