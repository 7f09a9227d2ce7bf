"""Which process runs a Dagster run, noted in the run's tags. Standard library only.

A process number alone is not enough: after its process has ended it may be another's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from wine_quality.environments.process_groups import live_stat

# Dagster hides tags with this prefix, and copies them to re-executions: the run is named too.
RUN_WORKER_TAG = ".dagster/wine_quality_worker"


@dataclass(frozen=True)
class WorkerProcess:
    """One process on this machine, never mistaken for another.

    Attributes:
        pid: Its number.
        started: When it started, in clock ticks since the machine did.
        boot: Which start of the machine that was.
    """

    pid: int
    started: int
    boot: str

    @classmethod
    def of(cls, pid: int) -> WorkerProcess | None:
        """The process that has this number now; None when there is none, or it has ended."""
        fields = live_stat(pid)
        if not fields:
            return None
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return cls(pid, int(fields[19]), boot)

    @classmethod
    def of_run(cls, run_id: str, tags: Mapping[str, str]) -> WorkerProcess | None:
        """The one noted for this run; None when no warm process was asked for it."""
        try:
            noted = json.loads(tags.get(RUN_WORKER_TAG, "{}"))
        except ValueError:
            return None
        if noted.pop("run", None) != run_id:
            return None
        return cls(**noted)

    def as_tag(self, run_id: str) -> dict[str, str]:
        """The tag that ``of_run`` reads."""
        return {RUN_WORKER_TAG: json.dumps({"run": run_id, **asdict(self)})}

    def is_running(self) -> bool:
        return WorkerProcess.of(self.pid) == self

    def send(self, number: int) -> bool:
        """Send a signal; whether the process was still there."""
        if not self.is_running():
            return False
        try:
            os.kill(self.pid, number)
        except ProcessLookupError:
            return False
        return True
