"""Kills a run at one event of its log after the other, and says what became of it.

``python -m wine_quality_tests.faults.kill_points FOLDER VERSION URI WHO [EVENT ...]`` with
``kill_hook`` on ``PYTHONPATH``; WHO is ``worker`` or ``child``. Without events: all of a run's.
Prints a line of JSON for each.
"""

from __future__ import annotations

import os
import sys
import uuid
from pathlib import Path
from typing import Any

from wine_quality.tracking.runs.lifecycle import is_done
from wine_quality_tests.faults.invariants import ENDED_AS
from wine_quality_tests.faults.kill_hook.sitecustomize import FOLDER, TAG, describe
from wine_quality_tests.support.warm_project import WarmProject, import_all, say

ALPHA = 0.3


def events_of(project: WarmProject, run_id: str) -> list[str]:
    """The events of a run's log, without the parts that differ from run to run."""
    return [describe(entry) for entry in project.instance.all_logs(run_id)]


def settle(project: WarmProject, run_id: str) -> None:
    """Do as the platform does in the minute after a death."""
    project.note_death(run_id)
    project.tick()


def broken(project: WarmProject, name: str, run_id: str) -> list[str]:
    """Invariants that a run that has ended breaks, in Dagster, MLflow and the registry."""
    status, runs = project.status(run_id), project.mlflow_runs(name)
    messages = [] if status in ENDED_AS else [f"Dagster run is {status}"]
    if len(runs) > 1:
        messages.append(f"{len(runs)} MLflow runs")
    messages += [
        f"Dagster says {status}, MLflow {run['info']['status']}"
        for run in runs
        if run["info"]["status"] != ENDED_AS.get(status)
    ]
    versions = project.versions(name)
    if len(versions) > 1:
        messages.append(f"{len(versions)} versions")
    known = {run["info"]["run_id"] for run in runs}
    messages += [f"version of run {v['run_id']}" for v in versions if v["run_id"] not in known]
    if status == "SUCCESS" and not (runs and versions):
        messages.append(f"SUCCESS with {len(runs)} MLflow runs and {len(versions)} versions")
    run = project.instance.get_run_by_id(run_id)
    if run is not None and is_done(project.instance, run) != (status == "SUCCESS"):
        messages.append(f"all steps succeeded, and it is {status}")
    return messages


def kill_at(project: WarmProject, who: str, when: str, name: str) -> dict[str, Any]:
    """One cell of the table."""
    config = project.config(name, ALPHA)
    run_id, _ = project.execute(name, config, tags={TAG: f"{who} {when}"})
    killed = Path(os.environ[FOLDER], run_id).exists()
    last = events_of(project, run_id)[-1]
    settle(project, run_id)
    text = broken(project, name, run_id)
    ended, again = project.status(run_id), ""
    if ended == "FAILURE":
        again_id = project.reexecute(name, run_id)
        again = project.status(again_id)
        project.tick()
        text += [f"re-executed: {line}" for line in broken(project, name, again_id)]
        if again != "SUCCESS":
            text.append(f"the re-execution is {again}")
    return {"killed": killed, "last": last, "ended": ended, "again": again, "broken": text}


def main(folder: Path, key: str, uri: str, who: str, wanted: list[str]) -> None:
    from wine_quality.environments.mlflow_versions import get_version

    project = WarmProject(folder, key, uri)
    if get_version(key).is_resident:
        import_all()
        project.close_in_fork()
    own = f"killed-{uuid.uuid4().hex[:8]}"
    whole, _ = project.execute(own, project.config(own, ALPHA))
    events = events_of(project, whole)
    say(events=events, broken=broken(project, own, whole))
    # What comes before is stored by whoever launches the run.
    began = next(n for n, event in enumerate(events, 1) if "PIPELINE_START" in event)
    for number, when in enumerate(wanted or range(began, len(events) + 1), 1):
        say(when=when, **kill_at(project, who, str(when), f"{own}-{number}"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:5], wanted=sys.argv[5:])
