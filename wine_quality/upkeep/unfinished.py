"""Ends, in a restored stack, the runs that were under way when its backup was made.

Their processes are not there. MLflow's are ended in its databases, whose tables for this are the
same in all versions, since no MLflow server runs during a restore; and afterwards the server may
have another port than the one that the Dagster run names, where it is not found then.

``python -m wine_quality.upkeep.unfinished`` is the part that talks to Dagster: it needs an
environment of its own. It reads what to do as JSON from stdin.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

from wine_quality.dagster_support.run_tag_names import FORMER_NAMES, MLFLOW_STATE_TAG, change_tag
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.service import with_home
from wine_quality.stack.settings import FOLDER, StackError
from wine_quality.tracking.runs.run_tags import OPEN, RUN_TAG
from wine_quality.upkeep.data_services import DataServices

_SECONDS = 600
_STATE_NAMES = [MLFLOW_STATE_TAG, FORMER_NAMES[MLFLOW_STATE_TAG]]
# How a Dagster run that had this status ends, and its MLflow run with it. Those in the queue go on.
_UNDER_WAY = {"STARTING": "FAILED", "STARTED": "FAILED", "CANCELING": "KILLED"}
_ENDED = {"SUCCESS": "FINISHED", "FAILURE": "FAILED", "CANCELED": "KILLED"}
_WAITING = ("QUEUED", "NOT_STARTED", "MANAGED")
_DAGSTER_RUNS = """
    SELECT r.run_id, r.status, EXISTS (
        SELECT FROM run_tags t WHERE t.run_id = r.run_id AND t.key = ANY(%s) AND t.value = %s)
    FROM runs r"""
# With their children, whose tag is that of the run above them.
_MLFLOW_RUNS = """
    SELECT r.run_uuid, r.status, t.value FROM runs r
    LEFT JOIN tags p ON p.run_uuid = r.run_uuid AND p.key = 'mlflow.parentRunId'
    JOIN tags t ON t.run_uuid = COALESCE(p.value, r.run_uuid) AND t.key = %s
    WHERE r.lifecycle_stage = 'active'"""
_END = "UPDATE runs SET status = %s, end_time = COALESCE(end_time, %s) WHERE run_uuid = %s"


def end_unfinished(services: DataServices, when: str, say: Callable[[str], None]) -> None:
    """End them in MLflow, then in Dagster.

    Args:
        when: The moment of the backup, for the message.

    Raises:
        StackError: Dagster refused.
    """
    statuses, left_open = _dagster_runs(services)
    ends = {run: _UNDER_WAY[status] for run, status in statuses.items() if status in _UNDER_WAY}
    ended, tracked = 0, set()
    for database in services.mlflow_databases().values():
        of_runs, number = _end_mlflow(services, database, statuses, ends)
        tracked |= of_runs
        ended += number
    # What ends the MLflow runs that are on servers elsewhere is the sensor, once the stack is up.
    states = {
        run: ends.get(run) or _ENDED[statuses[run]]
        for run in left_open & tracked
        if run in ends or statuses[run] in _ENDED
    }
    if ends or states:
        _end_dagster(services, {"ends": ends, "states": states, "when": when})
    say(f"{len(ends)} runs that were under way are ended, and {ended} of MLflow's")


def _dagster_runs(services: DataServices) -> tuple[dict[str, str], set[str]]:
    """Status of every run; those whose MLflow run counts as open."""
    database = services.settings["DAGSTER_POSTGRES_DB"]
    with closing(services.connect(database)) as connection, connection.cursor() as cursor:
        if not _has(cursor, "runs"):
            return {}, set()
        cursor.execute(_DAGSTER_RUNS, (_STATE_NAMES, OPEN))
        rows = cursor.fetchall()
    return {run: status for run, status, _ in rows}, {run for run, _, is_open in rows if is_open}


def _end_mlflow(
    services: DataServices, database: str, statuses: dict[str, str], ends: dict[str, str]
) -> tuple[set[str], int]:
    """End the MLflow runs of one database; the Dagster runs that it tracks, and how many it ended.

    A run that MLflow has finished and Dagster has not ends as Dagster's does, so that both agree.
    """
    now = int(time.time() * 1000)
    with (
        closing(services.connect(database)) as connection,
        connection,
        connection.cursor() as cursor,
    ):
        if not _has(cursor, "runs"):
            return set(), 0
        cursor.execute(_MLFLOW_RUNS, (RUN_TAG,))
        found = cursor.fetchall()
        wrong = []
        for run, status, dagster_run in found:
            theirs = statuses.get(dagster_run)
            end = ends.get(dagster_run)
            if end is None and status in ("RUNNING", "SCHEDULED") and theirs not in _WAITING:
                # Begun after Dagster's snapshot, from a terminal, or left open before.
                end = _ENDED.get(theirs or "", "FAILED")
            if end is not None and status != end:
                wrong.append((end, now, run))
        cursor.executemany(_END, wrong)
    return {dagster_run for _, _, dagster_run in found}, len(wrong)


def _has(cursor: Any, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s)", (table,))
    return cursor.fetchone() != (None,)


def _end_dagster(services: DataServices, work: dict[str, Any]) -> None:
    with tempfile.TemporaryDirectory(prefix="wine-quality-restore-") as folder:
        (Path(folder) / "dagster.yaml").symlink_to(FOLDER / "dagster.yaml")
        variables = instance_variables(services, Path(folder))
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-m", __name__],
            input=json.dumps(work),
            env=with_home(Path(folder), variables),
            cwd=PROJECT_ROOT,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    if done.returncode != 0:
        raise StackError(f"the runs under way could not be ended: {done.stderr.strip()[-800:]}")


def instance_variables(services: DataServices, home: Path) -> dict[str, str]:
    """Variables of a process that opens the platform's Dagster instance, its ``dagster.yaml`` in
    ``home``."""
    settings = services.settings
    return {
        "DAGSTER_HOME": str(home),
        "DAGSTER_POSTGRES_HOST": "127.0.0.1",
        "DAGSTER_POSTGRES_PORT": str(services.postgres_port),
        **{
            f"DAGSTER_POSTGRES_{name}": settings[f"DAGSTER_POSTGRES_{name}"]
            for name in ("DB", "USER", "PASSWORD")
        },
        "DAGSTER_COMPUTE_LOGS": str(home),
        "DAGSTER_MAX_CONCURRENT_RUNS": settings["DAGSTER_MAX_CONCURRENT_RUNS"],
    }


def main(work: dict[str, Any]) -> None:
    """End Dagster's runs and note on them how their MLflow runs ended."""
    from dagster import DagsterInstance

    text = f"It was under way when the backup of {work['when']} was made, and its process is gone. "
    with DagsterInstance.get() as instance:
        for run_id, end in work["ends"].items():
            run = instance.get_run_by_id(run_id)
            if run is None or run.is_finished:
                continue  # a restore that was interrupted had ended it
            if end == "KILLED":
                instance.report_run_canceled(run, text.rstrip())
            else:
                instance.report_run_failed(run, text + "Re-execute the run from failure.")
        for run_id, state in work["states"].items():
            change_tag(instance, run_id, MLFLOW_STATE_TAG, state)


if __name__ == "__main__":
    main(json.load(sys.stdin))
