"""One row of ``make bench-scale`` once, in a process of its own, measured from outside."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.scale_meter import Meter, end
from benchmarks.scale_rows import NEEDS_JAVA
from wine_quality.paths import PROJECT_ROOT

TIMEOUT_SECONDS = 3600.0


class Skipped(Exception):
    """The row cannot be run here; the message says why."""


@dataclass(frozen=True)
class Measured:
    """One run.

    Attributes:
        start: Seconds until it was ready: interpreter, imports, a JVM.
        seconds: Of the work itself.
        cpu: Processor seconds of the work, in all its processes.
        peak: Bytes, from the process's start to the end of the work.
        found: Its reports when it was done, and after.
    """

    start: float
    seconds: float
    cpu: float
    peak: int
    found: list[dict[str, Any]]


def measure(python: Path, row: str, path: str) -> Measured:
    """Run it.

    Raises:
        Skipped: what it needs is not here, or it failed.
    """
    if row in NEEDS_JAVA and not (shutil.which("java") or "JAVA_HOME" in os.environ):
        raise Skipped("there is no Java on this machine")
    variables = {**os.environ, "PYTHONPATH": str(PROJECT_ROOT), "PYTHONWARNINGS": "ignore"}
    variables["PYSPARK_PYTHON"] = str(python)
    with tempfile.TemporaryFile("w+") as errors, tempfile.TemporaryDirectory() as folder:
        process = subprocess.Popen(
            [str(python), "-m", "benchmarks.scale_rows", row, path],
            env=variables,
            cwd=folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        meter = Meter(process.pid)
        limit = threading.Timer(TIMEOUT_SECONDS, end, [process])
        limit.start()
        try:
            return _follow(process, meter)
        except Skipped:
            errors.seek(0)
            lines = [line for line in errors.read().splitlines() if line.strip()]
            last = lines[-1].strip() if lines else f"ended with code {process.poll()}"
            raise Skipped(last[:160]) from None
        finally:
            limit.cancel()
            meter.close()
            end(process)


def _follow(process: subprocess.Popen[str], meter: Meter) -> Measured:
    began, _ = meter.sample()
    _answer(process, "ready")
    begun, cpu_before = meter.sample()
    _go_on(process)
    found = [_answer(process, "done")]
    ended, cpu_after = meter.sample()
    peak = meter.peak_bytes
    _go_on(process)
    found += _rest(process)
    return Measured(begun - began, ended - begun, cpu_after - cpu_before, peak, found)


def _answer(process: subprocess.Popen[str], state: str) -> dict[str, Any]:
    """Its next line that is one of ours; libraries may print too."""
    assert process.stdout is not None
    for line in process.stdout:
        if line.startswith('{"state": '):
            answer = json.loads(line)
            assert answer["state"] == state, answer
            return answer
    process.wait()
    raise Skipped


def _go_on(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def _rest(process: subprocess.Popen[str]) -> list[dict[str, Any]]:
    found = []
    while True:
        try:
            found.append(_answer(process, "done"))
        except Skipped:
            return found
        _go_on(process)
