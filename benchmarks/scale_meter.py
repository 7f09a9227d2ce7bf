"""The cost of a process and all that it started: seconds, processor seconds and memory."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

_TICKS = os.sysconf("SC_CLK_TCK")
_PERIOD_SECONDS = 0.05


@dataclass
class Meter:
    """Samples a tree of processes until it is closed (Linux: from ``/proc``).

    Attributes:
        peak_bytes: The most that they held at once: their proportional set size, or what the first
            process had at its highest, if that is more (it may fall between two samples).
    """

    root: int
    peak_bytes: int = 0
    _cpu: dict[int, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closed: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def sample(self) -> tuple[float, float]:
        """Now: the clock, and processor seconds of all processes so far, ended ones included."""
        with self._lock:
            held = 0
            for pid in _tree(self.root):
                self._cpu[pid] = max(self._cpu.get(pid, 0.0), _cpu_seconds(pid))
                held += _kilobytes(pid, "smaps_rollup", "Pss:")
            highest = _kilobytes(self.root, "status", "VmHWM:")
            self.peak_bytes = max(self.peak_bytes, 1024 * max(held, highest))
            return time.perf_counter(), sum(self._cpu.values())

    def close(self) -> None:
        self._closed.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._closed.wait(_PERIOD_SECONDS):
            self.sample()


def _tree(root: int) -> list[int]:
    """The process and its descendants."""
    found = [root]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                children = Path(f"/proc/{pid}/task/{task}/children").read_text()
                found += map(int, children.split())
        except OSError:
            continue  # ended meanwhile
    return found


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _kilobytes(pid: int, file: str, label: str) -> int:
    try:
        lines = Path(f"/proc/{pid}/{file}").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in lines if line.startswith(label)), 0)


def available_bytes() -> int:
    """Memory that new processes may take without swapping."""
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:"))


def end(process: subprocess.Popen[str]) -> None:
    """The process and what it has left running."""
    for pid in reversed(_tree(process.pid)):
        try:
            os.kill(pid, 9)
        except ProcessLookupError:
            continue
    process.wait()
