"""``make bench``: how long a person waits from the click on Launch to SUCCESS, for each version.

A real webserver and daemon over the embedded stores, as under `make up`. The first launch starts
the version's warm process; medians are of the launches after it. Then a queue of runs, and what
the warm processes keep in memory (proportional set size) at once, a while later and when idle.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path

from benchmarks.stack import proportional_mib
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.dagster_stack import ENDED, DagsterStack

CLICK_TARGET = 3.0
RATE_TARGET = 40.0
MEMORY_TARGET = 400.0
_POLL_SECONDS = 0.05
_IDLE_MINUTES = 2.0
_SETTLE_SECONDS = 45  # those that have no room end half a minute after their last run


def config(key: str) -> dict:
    return {"resources": {"mlflow": {"config": {"version": key}}}}


def click(stack: DagsterStack, key: str) -> float:
    """Seconds from the launch of a run of one version to its success."""
    began = time.monotonic()
    run = stack.launch(config(key))
    while (status := stack.status(run)) not in ENDED:
        time.sleep(_POLL_SECONDS)
    assert status == "SUCCESS", stack.messages(run)
    return time.monotonic() - began


def measure_clicks(stack: DagsterStack, key: str, rounds: int) -> None:
    first = click(stack, key)
    taken = [click(stack, key) for _ in range(rounds)]
    middle = statistics.median(taken)
    print(
        f"MLflow {key:<6} click to SUCCESS {middle:5.2f} s ({min(taken):.2f} to {max(taken):.2f})  "
        f"first {first:5.2f} s  (target {CLICK_TARGET:g}: {_verdict(middle <= CLICK_TARGET)})",
        flush=True,
    )


def measure_queue(stack: DagsterStack, key: str, runs: int) -> None:
    """Runs launched at once, until the last has ended."""
    began = time.monotonic()
    left = {stack.launch(config(key)) for _ in range(runs)}
    queued = time.monotonic() - began
    while left:
        ended = {run["runId"]: run["status"] for run in stack.runs() if run["status"] in ENDED}
        assert set(ended.values()) == {"SUCCESS"} or not ended, ended
        left -= set(ended)
        time.sleep(1.0)
    rate = 60 * runs / (time.monotonic() - began)
    print(
        f"{runs} runs launched at once: {rate:.1f} a minute, {queued:.0f} s of them for launching "
        f"(target {RATE_TARGET:g}: {_verdict(rate >= RATE_TARGET)})",
        flush=True,
    )


def measure_memory(stack: DagsterStack) -> None:
    time.sleep(_SETTLE_SECONDS)
    kept = {key: proportional_mib(pid) for key, pid in stack.warm.pids().items()}
    together = sum(kept.values())
    parts = ", ".join(f"{key} {mib:.0f}" for key, mib in kept.items())
    print(
        f"kept warm after {_SETTLE_SECONDS} s: {together:.0f} MiB ({parts}) "
        f"(target {MEMORY_TARGET:g}: {_verdict(together <= MEMORY_TARGET)})",
        flush=True,
    )
    deadline = time.monotonic() + 60 * _IDLE_MINUTES + 10
    while (kept := stack.warm.pids()) and time.monotonic() < deadline:
        time.sleep(1.0)
    print(f"after {_IDLE_MINUTES:g} min without a launch: {len(kept)} warm processes", flush=True)


def _verdict(met: bool) -> str:
    return "met" if met else "MISSED"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(MLFLOW_VERSIONS))
    parser.add_argument("--rounds", type=int, default=5, help="timed launches of each (5)")
    parser.add_argument("--runs", type=int, default=40, help="launched at once (40; 0: none)")
    parser.add_argument("--no-memory", action="store_true", help="do not wait for what is kept")
    options = parser.parse_args()
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"{os.cpu_count()} cores; load average before: {load}")
    with tempfile.TemporaryDirectory() as folder:
        stack = DagsterStack(Path(folder), WINE_QUALITY_WARM_MINUTES=str(_IDLE_MINUTES))
        try:
            for key in options.versions:
                measure_clicks(stack, key, options.rounds)
            if options.runs:
                measure_queue(stack, options.versions[-1], options.runs)
            if not options.no_memory:
                measure_memory(stack)
        finally:
            stack.stop()


if __name__ == "__main__":
    main()
