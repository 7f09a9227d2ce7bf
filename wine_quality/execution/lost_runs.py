"""Dagster runs whose worker is gone and that nobody else will end.

Run workers are processes beside the code server, which reports when one of them dies. It does not
when it is killed together with them, nor ever again after PostgreSQL was away when it looked; then
such runs would stay STARTED, and their MLflow runs RUNNING, for ever. The same holds for workers
that a warm process forked, and for that process. Sensors run in the code server, where the workers'
processes can be seen.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DagsterEventType, DagsterRunStatus, RunsFilter

from wine_quality.environments.process_groups import live_stat
from wine_quality.execution.own_runs import is_of_location, was_started_here
from wine_quality.execution.worker_process import WorkerProcess
from wine_quality.tracking.runs.lifecycle import is_done, report_done

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_PROGRAMS = (b"multiprocessing.spawn", b"wine_quality.execution.warm_server")
_GRACE_SECONDS = 10.0
"""The code server itself looks every 5 s, and reports more about how a worker ended."""


def end_lost_runs(instance: DagsterInstance, location: str | None = None) -> list[str]:
    """End the runs whose worker is gone: as SUCCESS where all steps had succeeded, CANCELED where
    that was asked for, else as FAILURE.

    Args:
        location: The code location whose runs these are, and whose code server runs here; None:
            of all.

    Returns:
        The ids of the runs ended.
    """
    unfinished = instance.get_runs(
        RunsFilter(statuses=[DagsterRunStatus.STARTED, DagsterRunStatus.CANCELING])
    )
    lost, claimed = [], set()
    for run in unfinished:  # the newest first: a number may have been a lost worker's before
        if not is_of_location(run, location):
            continue
        forked = WorkerProcess.of_run(run.run_id, run.tags)
        if forked is not None:
            if not forked.is_running() and _end(instance, run.run_id, forked.pid):
                lost.append(run.run_id)
            continue
        if not was_started_here(run.tags):
            continue
        worker = _worker_of(instance, run)
        if worker is None or (worker not in claimed and is_worker(worker)):
            claimed.add(worker)
        elif _end(instance, run.run_id, worker):
            lost.append(run.run_id)
    return lost


def _worker_of(instance: DagsterInstance, run: DagsterRun) -> int | None:
    """The process that the code server started last for a run."""
    started = instance.all_logs(run.run_id, of_type=DagsterEventType.ENGINE_EVENT)
    for entry in reversed(started):
        text = entry.dagster_event.message if entry.dagster_event else None
        found = re.search(r"Started process for run \(pid: (\d+)\)", text or "")
        if found:
            return int(found[1])
    return None


def is_worker(pid: int) -> bool:
    """Whether a process lives and is one that the code server, or a warm one, started for a run."""
    process = Path("/proc") / str(pid)
    if not Path("/proc/self").exists():
        return True  # not Linux: this cannot be known
    try:
        command = (process / "cmdline").read_bytes()
    except OSError:
        return False
    return bool(live_stat(pid)) and any(program in command for program in _PROGRAMS)


def _end(instance: DagsterInstance, run_id: str, worker: int) -> bool:
    """End it unless it has ended, or its worker was at work, only a moment ago."""
    entries = instance.all_logs(run_id)
    if entries and time.time() - entries[-1].timestamp < _GRACE_SECONDS:
        return False
    # Read after its worker was seen to be gone: what that wrote last is there.
    run = instance.get_run_by_id(run_id)
    if run is None or run.is_finished:
        return False
    if is_done(instance, run):
        report_done(instance, run)
        return True
    if run.status == DagsterRunStatus.CANCELING:
        instance.report_run_canceled(run)
        return True
    instance.report_run_failed(
        run,
        f"The run worker (process {worker}) is gone, perhaps with the process that started it "
        "or because PostgreSQL did not answer it. Re-execute the run from failure.",
    )
    return True
