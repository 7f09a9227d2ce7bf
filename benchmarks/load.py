"""``make bench``: what many at once take, and that nothing is lost of them.

Runs of the job queued at once on a real webserver, daemon and MLflow 3 server, with the memory of
daemon and code server (proportional set size, MiB) through it; clients that write to the MLflow
server side by side; a sweep. ``--runs 200 --points 1000`` is the whole, some twenty minutes.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.load import ask_at_once, drain_queue, sweep_points
from wine_quality_tests.support.servers import MlflowServer

_SECONDS_A_RUN = 60.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=20, help="queued at once (20)")
    parser.add_argument("--clients", type=int, default=20, help="of the MLflow server (20)")
    parser.add_argument("--points", type=int, default=1000, help="of the sweep (1000)")
    options = parser.parse_args()
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"{os.cpu_count()} cores; load average before: {load}")
    with tempfile.TemporaryDirectory() as folder:
        server = MlflowServer(MLFLOW_VERSIONS["3"], Path(folder) / "mlflow")
        try:
            measure(options, server, Path(folder))
        finally:
            server.stop()


def measure(options: argparse.Namespace, server: MlflowServer, folder: Path) -> None:
    rate = ask_at_once(server, options.clients, 20, "clients")
    print(f"{options.clients} clients at once: {rate:.0f} requests/s, none lost", flush=True)
    home = folder / "sweep"
    environment = {**os.environ, "WINE_QUALITY_HOME": str(home), "MAKEFLAGS": ""}
    environment.pop("MLFLOW_TRACKING_URI", None)
    seconds = sweep_points(server, options.points, "sweep", environment)
    print(f"sweep of {options.points} points: {seconds:.0f} s, none lost", flush=True)
    stack = DagsterStack(folder / "platform")
    try:
        took = drain_queue(stack, server, options.runs, "queue", options.runs * _SECONDS_A_RUN)
    finally:
        stack.stop()
    half = len(took.mib) // 2
    print(
        f"{options.runs} runs queued at once: queued in {took.launching:.0f} s, drained in "
        f"{took.seconds:.0f} s, {60 * options.runs / took.seconds:.1f} runs/min, at most "
        f"{took.most_at_once} at once, none lost"
    )
    print(
        f"  daemon and code server: {took.mib[0]:.0f} MiB before, at most {max(took.mib):.0f} "
        f"({max(took.mib[:half]):.0f} in the first half, {max(took.mib[half:]):.0f} in the "
        f"second), {took.mib[-1]:.0f} at the end",
        flush=True,
    )


if __name__ == "__main__":
    main()
