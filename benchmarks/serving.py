"""``make bench``: ``make serve`` against ``mlflow models serve``, the same champion, one session.

Both take turns; each is started from nothing, asked for one wine on a connection that is kept, and
for batches of 1, 100 and 10,000 wines. Seconds of a cold start go from the command to the first
prediction, and hold what each does on the way: asking the registry, fetching the files, loading.
The environment of the model is there already on both sides (``--env-manager local``). Memory is
the proportional set size of all processes of each, after the requests.

    --runs N      cold starts of each (3); figures are medians
    --requests N  for one wine (3000)
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.stack import proportional_mib
from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import dying_with_us, free_port
from wine_quality_tests.support.serving import NAME, request_of, run_job
from wine_quality_tests.support.stack_client import descendants

BATCHES = (1, 100, 10_000)
_BATCH_SECONDS = 3.0
_READY_SECONDS = 120.0


@dataclass
class Contender:
    """A server that can be started, and how it is asked."""

    name: str
    command: list[str]
    path: str
    environment: dict[str, str]
    body: Any
    figures: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, value: float) -> None:
        self.figures.setdefault(name, []).append(value)

    def median(self, name: str) -> float:
        return statistics.median(self.figures[name])


def dataframe_split(rows: list[list[float]]) -> dict[str, Any]:
    """A request as ``mlflow models serve`` takes it."""
    return {"dataframe_split": {"columns": list(FEATURES), "data": rows}}


@contextmanager
def started(contender: Contender, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            dying_with_us(*(part.format(port=port) for part in contender.command)),
            env=contender.environment,
            cwd=PROJECT_ROOT,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            yield process
        except Exception:
            log.seek(0)
            print(log.read().decode()[-3000:], file=sys.stderr)
            raise
        finally:
            os.killpg(process.pid, signal.SIGINT)
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)


def ask(connection: http.client.HTTPConnection, path: str, body: bytes) -> bytes:
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    content = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{answer.status} {content[:300]!r}")
    return content


def first_answer(process: subprocess.Popen[bytes], port: int, path: str, body: bytes) -> None:
    """Until it predicts."""
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        try:
            ask(connection, path, body)
            return
        except (OSError, RuntimeError, http.client.HTTPException):
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.02)
        finally:
            connection.close()


def measure(contender: Contender, wines: list[list[float]], requests: int) -> None:
    port = free_port()
    bodies = {
        size: json.dumps(contender.body((wines * (size // len(wines) + 1))[:size])).encode()
        for size in BATCHES
    }
    began = time.monotonic()
    with started(contender, port) as process:
        first_answer(process, port, contender.path, bodies[1])
        contender.note("cold start, s", time.monotonic() - began)
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
        for _ in range(200):
            ask(connection, contender.path, bodies[1])
        times = []
        for _ in range(requests):
            before = time.perf_counter()
            ask(connection, contender.path, bodies[1])
            times.append(time.perf_counter() - before)
        times.sort()
        contender.note("p50 of one wine, ms", 1000 * statistics.median(times))
        contender.note("p99 of one wine, ms", 1000 * times[int(0.99 * len(times))])
        for size in BATCHES:
            count, ends = 0, time.perf_counter() + _BATCH_SECONDS
            before = time.perf_counter()
            while time.perf_counter() < ends:
                ask(connection, contender.path, bodies[size])
                count += size
            rate = count / (time.perf_counter() - before)
            contender.note(f"wines/s, batches of {size:,}", rate)
        memory = sum(map(proportional_mib, [process.pid, *descendants(process.pid)]))
        contender.note("memory, MiB", memory)
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--requests", type=int, default=3000)
    options = parser.parse_args()
    import pandas as pd

    from wine_quality.paths import PACKAGED_RED_WINE

    frame = pd.read_csv(PACKAGED_RED_WINE, sep=";")[list(FEATURES)].astype("float64")
    wines = frame.to_numpy().tolist()
    version = MLFLOW_VERSIONS["3"]
    with tempfile.TemporaryDirectory(prefix="wine-quality-bench-") as folder:
        home = Path(folder)
        run_job(home, version)
        variables = {**version.process_variables(), "WINE_QUALITY_HOME": str(home)}
        uri = f"sqlite:///{home / 'mlflow-3' / 'mlflow.db'}"
        contenders = [
            Contender(
                "mlflow models serve",
                [str(version.python.with_name("mlflow")), "models", "serve"]
                + ["--model-uri", f"models:/{NAME}@champion", "--env-manager", "local"]
                + ["--host", "127.0.0.1", "--port", "{port}"],
                "/invocations",
                {**variables, "MLFLOW_TRACKING_URI": uri},
                dataframe_split,
            ),
            Contender(
                "make serve",
                [sys.executable, "-m", "wine_quality", "serve", "--mlflow", "3"]
                + ["--port", "{port}", "--grpc-port", str(free_port())],
                f"/v2/models/{NAME}/infer",
                variables,
                request_of,
            ),
        ]
        for run in range(options.runs + 1):
            for contender in contenders:
                if run == 0:  # whatever is compiled or cached at the first start
                    port = free_port()
                    with started(contender, port) as process:
                        body = json.dumps(contender.body(wines[:1])).encode()
                        first_answer(process, port, contender.path, body)
                else:
                    measure(contender, wines, options.requests)
                    print(f"{contender.name}: run {run} done", file=sys.stderr, flush=True)
    report(*contenders)


def report(theirs: Contender, ours: Contender) -> None:
    """Medians side by side; the ratio is above 1 where ours is ahead."""
    print(f"{'':28}{theirs.name:>20}{ours.name:>14}{'ahead by':>10}")
    for name in theirs.figures:
        one, other = theirs.median(name), ours.median(name)
        ahead = other / one if name.startswith("wines/s") else one / other
        verdict = "" if ahead >= 1 else "  MISSED (target: ahead)"
        print(f"{name:28}{one:>20,.2f}{other:>14,.2f}{ahead:>9.2f}x{verdict}", flush=True)


if __name__ == "__main__":
    main()
