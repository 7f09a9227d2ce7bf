"""``make bench``: the whole of ``make run`` against the plain tutorial script, as ratios.

Both write to the same store, in turn, from start to exit of the process; one warm-up each. Ratios
of one session are what counts: the seconds are those of the machine.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import PACKAGED_RED_WINE, PROJECT_ROOT

TARGETS = {"3": 0.70}
ROUTED_TARGET = 1.3
EXPERIMENT = "wine_quality_experiment1"
SCRIPT = Path(__file__).with_name("plain_tutorial.py")


def seconds(command: list[str], environment: dict[str, str], cwd: Path) -> float:
    """Wall time of a command that succeeds; its output is shown when it does not."""
    started = time.perf_counter()
    done = subprocess.run(
        command,
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    taken = time.perf_counter() - started
    if done.returncode != 0:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
    return taken


def compare(version: MlflowVersion, rounds: int, folder: Path) -> float:
    """Print the medians of one version and return their ratio."""
    environment = {**os.environ, "WINE_QUALITY_HOME": str(folder), "MAKEFLAGS": ""}
    for name in ("MLFLOW_TRACKING_URI", "ARGS"):  # make hands its ARGS down
        environment.pop(name, None)
    store = f"sqlite:///{folder / f'mlflow-{version.key}' / 'mlflow.db'}"
    ours = ["make", "--no-print-directory", "run", f"MLFLOW={version.key}"]
    plain = [str(version.python), str(SCRIPT), str(PACKAGED_RED_WINE), store, EXPERIMENT]
    variables = {**version.process_variables(), "MLFLOW_DISABLE_TELEMETRY": "true"}
    times: dict[str, list[float]] = {"run": [], "plain": []}
    for number in range(rounds + 1):
        # The first of ours makes the experiment, with its artifact folder, that both log to.
        run_time = seconds(ours, environment, PROJECT_ROOT)
        plain_time = seconds(plain, variables, folder)
        if number > 0:
            times["run"].append(run_time)
            times["plain"].append(plain_time)
            print(f"  {run_time:6.2f} s  {plain_time:6.2f} s", file=sys.stderr)
    run, script = statistics.median(times["run"]), statistics.median(times["plain"])
    target = TARGETS.get(version.key, ROUTED_TARGET)
    verdict = "met" if run / script <= target else "MISSED"
    print(
        f"MLflow {version.key:<6} make run {run:5.2f} s  plain script {script:5.2f} s  "
        f"ratio {run / script:4.2f}  (target {target:g}: {verdict})",
        flush=True,
    )
    return run / script


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("versions", nargs="*", default=list(MLFLOW_VERSIONS))
    parser.add_argument("--rounds", type=int, default=5, help="timed runs of each (5)")
    options = parser.parse_args()
    print(f"Medians of {options.rounds}, after one warm-up each, {os.cpu_count()} cores:")
    for key in options.versions:
        with tempfile.TemporaryDirectory() as folder:
            compare(MLFLOW_VERSIONS[key], options.rounds, Path(folder))


if __name__ == "__main__":
    main()
