"""Close an MLflow run whose own process is gone, with the client of the version that opened it.

``python -m wine_quality.tracking.closing URI RUN_ID STATUS`` is the part that runs in that
version's environment.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from wine_quality.environments.versions import PROJECT_ROOT, get_version
from wine_quality.tracking.lifecycle import (
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_URI_TAG,
    MLFLOW_VERSION_TAG,
)

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_SECONDS = 50


def close_mlflow_run(instance: DagsterInstance, dagster_run: DagsterRun, status: str) -> str:
    """End the MLflow run of a Dagster run as ``status`` unless it has ended already.

    Returns:
        A sentence that says what was done, for the log.
    """
    stored = instance.get_run_by_id(dagster_run.run_id) or dagster_run
    run_id, uri = stored.tags.get(MLFLOW_RUN_TAG), stored.tags.get(MLFLOW_URI_TAG)
    if not run_id or not uri or stored.tags.get(MLFLOW_OWNER_TAG) != stored.run_id:
        return "No MLflow run had been opened."
    version = get_version(stored.tags[MLFLOW_VERSION_TAG])
    variables = {**version.process_variables(), "PYTHONPATH": str(PROJECT_ROOT)}
    try:
        answer = subprocess.run(
            [str(version.require_python()), "-m", __name__, uri, run_id, status],
            env=variables,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        return f"MLflow run {run_id} could not be closed: {uri} gave no answer in {_SECONDS} s."
    if answer.returncode != 0:
        return f"MLflow run {run_id} could not be closed: {answer.stderr.strip()[-500:]}"
    return answer.stdout.strip()


def main(uri: str, run_id: str, status: str) -> None:
    from mlflow.tracking import MlflowClient

    client = MlflowClient(uri)
    current = client.get_run(run_id).info.status
    if current != "RUNNING":
        print(f"MLflow run {run_id} had ended as {current}.")
        return
    client.set_terminated(run_id, status)
    print(f"MLflow run {run_id} ended as {status}.")


if __name__ == "__main__":
    main(*sys.argv[1:4])
