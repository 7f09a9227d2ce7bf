"""``make bench``: what a sweep of 100 points costs, as two ratios.

1. Its step ``sweep_points`` (cross-validation, heat map and 100 child runs; from Dagster's event
   log) against the floor of writing 100 child runs by ``log_batch`` from one process.
2. 100 separate runs of the job against ``make sweep``, each from process start to exit. By default
   100 times the median of those that were run; ``--all-runs`` runs all hundred.

All in turn against the same embedded store, after one warm-up each.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.main_job import EXPERIMENT
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import PROJECT_ROOT

FLOOR_SCRIPT = Path(__file__).with_name("child_runs_floor.py")
FLOOR_TARGET, RUNS_TARGET = 1.3, 50.0
POINTS = 100


def output(command: list[str], environment: dict[str, str]) -> tuple[str, float]:
    """Output of a command that succeeds, and its wall time in seconds."""
    started = time.perf_counter()
    done = subprocess.run(
        command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}{done.stderr}")
    return done.stdout, time.perf_counter() - started


def step_seconds(home: Path, printed: str) -> float:
    """How long ``sweep_points`` took in the run that ``make sweep`` reports."""
    from dagster import DagsterEventType, DagsterInstance

    found = re.search(r"Dagster run +(\S+)", printed)
    assert found, printed
    with DagsterInstance.from_config(str(home / "dagster")) as instance:
        for entry in instance.all_logs(found[1], of_type=DagsterEventType.STEP_SUCCESS):
            if entry.step_key == "sweep_points" and entry.dagster_event is not None:
                return entry.dagster_event.step_success_data.duration_ms / 1000
    raise AssertionError(f"run {found[1]} has no step sweep_points")


def compare(version: MlflowVersion, rounds: int, all_runs: bool, home: Path) -> None:
    """Print both ratios of one version."""
    ours = {**os.environ, "WINE_QUALITY_HOME": str(home), "MAKEFLAGS": ""}
    for name in ("MLFLOW_TRACKING_URI", "ARGS", "DAGSTER_HOME"):
        ours.pop(name, None)
    store = f"sqlite:///{home / f'mlflow-{version.key}' / 'mlflow.db'}"
    floor_variables = {**version.process_variables(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    make = ["make", "--no-print-directory", f"MLFLOW={version.key}"]
    steps, floors, sweeps, runs = [], [], [], []
    for number in range(rounds + 1):
        text, sweep = output([*make, "sweep"], ours)
        floor, _ = output(
            [str(version.python), "-W", "ignore", str(FLOOR_SCRIPT), store, EXPERIMENT],
            floor_variables,
        )
        _, run = output([*make, "run"], ours)
        if number == 0:
            continue
        steps.append(step_seconds(home, text))
        floors.append(float(floor.split()[-1]))
        sweeps.append(sweep)
        runs.append(run)
        print(
            f"  step {steps[-1]:5.2f} s  floor {floors[-1]:5.2f} s  sweep {sweep:5.2f} s  "
            f"run {run:5.2f} s",
            file=sys.stderr,
        )
    step, floor_time = statistics.median(steps), statistics.median(floors)
    print(
        f"MLflow {version.key:<6} sweep of {POINTS} points {step:5.2f} s  floor {floor_time:5.2f} s"
        f"  ratio {step / floor_time:4.2f}  (target {FLOOR_TARGET:g}: "
        f"{'met' if step / floor_time <= FLOOR_TARGET else 'MISSED'})",
        flush=True,
    )
    if all_runs:
        separate = sum(output([*make, "run"], ours)[1] for _ in range(POINTS))
        how = f"{POINTS} runs"
    else:
        separate, how = POINTS * statistics.median(runs), f"{POINTS} × run"
    sweep_time = statistics.median(sweeps)
    print(
        f"MLflow {version.key:<6} make sweep {sweep_time:5.2f} s  {how} {separate:6.1f} s  "
        f"faster by {separate / sweep_time:4.1f}  (target {RUNS_TARGET:g}: "
        f"{'met' if separate / sweep_time >= RUNS_TARGET else 'MISSED'})",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(MLFLOW_VERSIONS))
    parser.add_argument("--rounds", type=int, default=5, help="timed rounds (5)")
    parser.add_argument("--all-runs", action="store_true", help="run the hundred separate runs")
    options = parser.parse_args()
    print(f"Medians of {options.rounds}, after one warm-up each, {os.cpu_count()} cores:")
    for key in options.versions:
        with tempfile.TemporaryDirectory() as folder:
            compare(MLFLOW_VERSIONS[key], options.rounds, options.all_runs, Path(folder))


if __name__ == "__main__":
    main()
