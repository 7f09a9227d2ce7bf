"""``make chaos``: the job, and parts of it under other experiments, in a loop while services are
killed at random; then the invariants.

``python -m wine_quality_tests.faults.chaos --minutes 5 --seed 1``; prints the seed, what was
killed, how the runs ended and which invariants are broken. Exit code 0 when none is.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import sys
import time
from collections import Counter

import psycopg2
import requests

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.faulty_stack import FaultyStack
from wine_quality_tests.faults.invariants import (
    ENDED_AS,
    NEVER_LAUNCHED,
    Stored,
    broken,
    disagreements,
    stored,
    unloadable_versions,
)
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.stack_client import environment_of

_PARALLEL_RUNS = 2
_PAUSE_SECONDS = (2.0, 12.0)
_DRAIN_SECONDS = 600.0
AGREE_SECONDS = 60.0
_WORKER = "a run worker"
_EXPERIMENTS = ["chaos-a", "chaos-b"]
_SHARE_OF_PARTS = 0.4
_PARTS = [
    ["evaluation_metrics"],
    ["registered_model"],
    ["champion_model"],
    ["elasticnet_model"],
    ["evaluation_metrics", "registered_model", "champion_model"],
    ["train_test_split", "elasticnet_model"],
]


class Chaos:
    """Launches and kills over one stack, drawn from one seed.

    Attributes:
        killed: How often each service was.
        ended: How many runs ended how.
        parts: How many runs were of some assets only.
    """

    def __init__(self, stack: FaultyStack, seed: int) -> None:
        self.stack = stack
        self._draw = random.Random(seed)
        self.killed: Counter[str] = Counter()
        self.ended: Counter[str] = Counter()
        self.launched: list[str] = []
        self.refused = 0
        self.parts = 0

    def run(self, seconds: float) -> list[str]:
        """Disturb for so long, let all end, and say what does not hold."""
        before = stored(self.stack)
        until = time.monotonic() + seconds
        next_kill = time.monotonic() + self._draw.uniform(*_PAUSE_SECONDS)
        while time.monotonic() < until:
            self._launch_some()
            if time.monotonic() > next_kill:
                self._kill_one()
                next_kill = time.monotonic() + self._draw.uniform(*_PAUSE_SECONDS)
            time.sleep(0.5)
        return self._settle(before)

    def _launch_some(self) -> None:
        """Keep ``_PARALLEL_RUNS`` runs going, while the webserver can be asked."""
        fields = {
            "version": self._draw.choice(self.stack.versions),
            "experiment_name": self._draw.choice(_EXPERIMENTS),
        }
        config = {"resources": {"mlflow": {"config": fields}}}
        # A part fails where there is nothing yet, or nothing of one training: that is right, too.
        parts = self._draw.choice(_PARTS) if self._draw.random() < _SHARE_OF_PARTS else None
        try:
            if self._unfinished() < _PARALLEL_RUNS:
                self.launched.append(self.stack.launch(config, assets=parts))
                self.parts += parts is not None
        except (requests.RequestException, AssertionError, ValueError, psycopg2.OperationalError):
            self.refused += 1

    def _unfinished(self) -> int:
        ended = ", ".join(f"'{status}'" for status in (*ENDED_AS, NEVER_LAUNCHED))
        query = f"SELECT count(*) FROM runs WHERE status NOT IN ({ended})"
        return self.stack.query("dagster", "DAGSTER", query)[0][0]

    def _kill_one(self) -> None:
        targets = [*sorted(self.stack.services), _WORKER]
        name = self._draw.choice(targets)
        try:
            if name == _WORKER:
                self._kill_worker(self._draw.choice(self.launched))
            else:
                self.stack.send(name, signal.SIGKILL)
        except (
            ProcessLookupError,
            KeyError,
            IndexError,
            AssertionError,
            ValueError,
            requests.RequestException,
        ):
            return  # it is down already, or cannot be asked for
        self.killed[name] += 1
        print(f"  SIGKILL to {name}", flush=True)

    def _kill_worker(self, run_id: str) -> None:
        pid = self.stack.worker_pid(run_id)
        # The number of one that has ended may be another's by now.
        if environment_of(pid).get("WINE_QUALITY_HOME") != str(self.stack.home):
            raise ProcessLookupError(pid)
        os.kill(pid, signal.SIGKILL)

    def _settle(self, before: Stored) -> list[str]:
        """Wait for what was queued, then a minute for all to agree."""
        await_condition(self._all_up, "every service to be up", 120)
        await_condition(lambda: self._unfinished() == 0, "all runs to end", _DRAIN_SECONDS)
        since = time.monotonic()
        while disagreements(stored(self.stack)) and time.monotonic() - since < AGREE_SECONDS:
            time.sleep(0.5)
        now = stored(self.stack)
        self.ended = Counter(status for _, status, _ in now.dagster.values())
        return [*broken(self.stack, before), *unloadable_versions(self.stack, now)]

    def _all_up(self) -> bool:
        services = self.stack.state["services"].values()
        return all(service["ready"] for service in services)


def main() -> int:
    parser = argparse.ArgumentParser(prog="wine_quality_tests.faults.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    options = parser.parse_args()
    versions = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
    print(f"seed {options.seed}, {options.minutes:g} min, MLflow {', '.join(versions)}", flush=True)
    stack = FaultyStack(versions)
    try:
        stack.up()
        chaos = Chaos(stack, options.seed)
        output = chaos.run(60 * options.minutes)
    finally:
        stack.down()
    print(f"killed: {dict(chaos.killed)}")
    print(f"runs: {dict(chaos.ended)}, {chaos.parts} of them of some assets only")
    print(f"{chaos.refused} launches could not be made at that moment")
    for line in output:
        print(f"BROKEN: {line}")
    print("every invariant holds" if not output else f"{len(output)} invariant(s) broken")
    return 1 if output else 0


if __name__ == "__main__":
    sys.exit(main())
