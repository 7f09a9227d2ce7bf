"""``make bench``: one backfill that trains a model for each of 200 segments.

``examples/segments`` with made-up segments in place of its three cities, on a real webserver,
daemon and code server over the embedded stores, as `make up` has them. Then the queue does runs of
the red wines, on such an instance of its own, for a ratio from one session. Memory is the
proportional set size of daemon, code server and warm processes, MiB, without the runs themselves,
which are forks of the warm processes.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.stack import proportional_mib
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.dagster_stack import ENDED, DagsterStack

_EXAMPLE = PROJECT_ROOT / "examples" / "segments" / "definitions.py"
_CITIES = '("Bern", "Geneva", "Lugano")'
_ROWS = 240
"""Of each segment, as in the example."""
_POLL_SECONDS = 2.0
_SECONDS_A_RUN = 60.0
_ASSETS = ("data", "train", "test", "model", "metrics", "version", "champion")
_BACKFILL = """
mutation Backfill($params: LaunchBackfillParams!) {
  launchPartitionBackfill(backfillParams: $params) {
    __typename
    ... on LaunchBackfillSuccess { backfillId }
    ... on PythonError { message }
  } }"""
_STATUS = """
query Status($id: String!) { partitionBackfillOrError(backfillId: $id) {
  ... on PartitionBackfill { status error { message } }
} }"""


def write_project(folder: Path, segments: int) -> Path:
    """The example's definitions with so many segments, and their rows; returns the definitions."""
    names = [f"s{number:03d}" for number in range(segments)]
    text = _EXAMPLE.read_text()
    assert text.count(_CITIES) == 1
    file = folder / "definitions.py"
    file.write_text(text.replace(_CITIES, repr(tuple(names))))
    lines = ["city,rooms,area,floor,age,rent", *_flats(names)]
    (folder / "rents.csv").write_text("\n".join([*lines, ""]))
    return file


def _flats(names: list[str]) -> Iterator[str]:
    chance = random.Random(1)
    for name in names:
        price = chance.uniform(10, 30)
        for _ in range(_ROWS):
            rooms, floor, age = chance.randint(1, 6), chance.randint(0, 8), chance.randint(0, 90)
            area = round(rooms * chance.uniform(18, 30), 1)
            rent = round(price * area * chance.uniform(0.9, 1.1) - 2 * age)
            yield f"{name},{rooms},{area},{floor},{age},{max(rent, 0)}"


def launch(stack: DagsterStack, segments: int) -> str:
    """As the UI's "Materialize all" with all partitions picked; the backfill's id."""
    params = {
        "assetSelection": [{"path": [f"segments_{name}"]} for name in _ASSETS],
        "partitionNames": [f"s{number:03d}" for number in range(segments)],
    }
    answer = stack.graphql(_BACKFILL, params=params)["launchPartitionBackfill"]
    assert answer["__typename"] == "LaunchBackfillSuccess", answer
    return answer["backfillId"]


def measure_backfill(home: Path, segments: int) -> float:
    """Runs a minute, from the launch to the end of the last run."""
    project = home / "project"
    project.mkdir(parents=True)
    stack = DagsterStack(home, write_project(project, segments))
    try:
        began = time.monotonic()
        backfill, most_mib, first = launch(stack, segments), 0.0, 0.0
        while True:
            runs = stack.runs()
            counts = Counter(run["status"] for run in runs)
            first = first or (time.monotonic() - began if counts["SUCCESS"] else 0.0)
            most_mib = max(most_mib, _mib(stack))
            if len(runs) >= segments and sum(counts[status] for status in ENDED) == len(runs):
                break
            found = stack.graphql(_STATUS, id=backfill)["partitionBackfillOrError"]
            assert found["status"] in ("REQUESTED", "COMPLETED_SUCCESS"), found
            waited = time.monotonic() - began
            assert waited < segments * _SECONDS_A_RUN, f"after {waited:.0f} s: {dict(counts)}"
            time.sleep(_POLL_SECONDS)
        taken = time.monotonic() - began
        failed = [run["runId"] for run in runs if run["status"] != "SUCCESS"]
        partitions = {run["tags"]["dagster/partition"] for run in runs}
        print(
            f"{segments} segments in one backfill: {taken:.0f} s, {60 * segments / taken:.1f} runs "
            f"a minute, {len(failed)} of {len(runs)} failed; the first model after {first:.0f} s; "
            f"at most {most_mib:.0f} MiB",
            flush=True,
        )
        assert not failed, stack.messages(failed[0])
        assert len(partitions) == len(runs) == segments
    finally:
        stack.stop()
    return 60 * segments / taken


def measure_wines(home: Path, runs: int) -> float:
    """Runs of the red wines a minute, queued at once."""
    stack = DagsterStack(home)
    try:
        began = time.monotonic()
        config = {"resources": {"mlflow": {"config": {"version": "3"}}}}
        for _ in range(runs):
            stack.launch(config)
        while True:
            counts = Counter(run["status"] for run in stack.runs())
            if sum(counts[status] for status in ENDED) == runs:
                break
            time.sleep(_POLL_SECONDS)
        taken = time.monotonic() - began
    finally:
        stack.stop()
    assert counts == {"SUCCESS": runs}, counts
    print(f"{runs} runs of the wines queued at once: {60 * runs / taken:.1f} a minute", flush=True)
    return 60 * runs / taken


def _mib(stack: DagsterStack) -> float:
    pids = [stack.pid("daemon"), stack.pid("code"), *stack.warm.pids().values()]
    return sum(map(proportional_mib, pids))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--segments", type=int, default=200, help="partitions (200)")
    parser.add_argument("--wines", type=int, default=40, help="runs of the wines (40; 0: none)")
    options = parser.parse_args()
    load = "{:.1f}, {:.1f}, {:.1f}".format(*os.getloadavg())
    print(f"{os.cpu_count()} cores; load average before: {load}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rate = measure_backfill(Path(folder) / "segments", options.segments)
        if options.wines:
            wines = measure_wines(Path(folder) / "wines", options.wines)
            print(f"a segment's run against one of the wines: {rate / wines:.2f} of its rate")


if __name__ == "__main__":
    main()
