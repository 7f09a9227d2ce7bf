"""How the MLflow run follows its Dagster run."""

from __future__ import annotations

import os
import subprocess
from functools import lru_cache
from typing import TYPE_CHECKING

from wine_quality.environments.versions import PROJECT_ROOT

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

RUN_TAG = "dagster.run_id"
ROOT_TAG = "dagster.root_run_id"
# Tags of the Dagster run: shown in its UI, and all that is needed to close the MLflow run
# when the process that opened it is gone.
MLFLOW_RUN_TAG = "mlflow/run_id"
MLFLOW_URI_TAG = "mlflow/tracking_uri"
MLFLOW_VERSION_TAG = "mlflow/version"
# Dagster copies a run's tags to its re-executions: this one tells whose the others are.
MLFLOW_OWNER_TAG = "mlflow/dagster_run_id"

_RESUME_TAG = "dagster/is_resume_retry"


def run_tags(run: DagsterRun) -> dict[str, str]:
    """What the MLflow run says of the Dagster run that made it."""
    webserver = os.environ.get("DAGSTER_WEBSERVER_URL", "http://localhost:5000").rstrip("/")
    return {
        RUN_TAG: run.run_id,
        ROOT_TAG: run.root_run_id or run.run_id,
        "dagster.run_url": f"{webserver}/runs/{run.run_id}",
        "dagster.job_name": run.job_name,
        "mlflow.source.git.commit": git_commit(),
    }


@lru_cache(maxsize=1)
def git_commit() -> str:
    """The project's commit: ``$GIT_COMMIT`` (images), else git's, else ``unknown``."""
    if "GIT_COMMIT" in os.environ:
        return os.environ["GIT_COMMIT"]
    try:
        answer = subprocess.run(
            ["git", "-C", str(PROJECT_ROOT), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"


def mlflow_run_to_resume(instance: DagsterInstance, run: DagsterRun) -> str | None:
    """The MLflow run this Dagster run continues: its own (another process of the same run), or
    its parent's when it is a re-execution from failure."""
    stored = instance.get_run_by_id(run.run_id) or run
    if stored.tags.get(MLFLOW_OWNER_TAG) == run.run_id:
        return stored.tags.get(MLFLOW_RUN_TAG)
    if run.tags.get(_RESUME_TAG) == "true" and run.parent_run_id:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is not None:
            return parent.tags.get(MLFLOW_RUN_TAG)
    return None


def final_status(instance: DagsterInstance, run: DagsterRun, interrupted: bool) -> str:
    """FINISHED, FAILED or KILLED, asked of the event log.

    Dagster throws no exception into a resource's generator, so the log has to be asked.
    """
    from dagster import DagsterEventType, DagsterRunStatus

    stored = instance.get_run_by_id(run.run_id)
    if interrupted or (stored is not None and stored.status == DagsterRunStatus.CANCELING):
        return "KILLED"
    failures = instance.all_logs(run.run_id, of_type=DagsterEventType.STEP_FAILURE)
    return "FAILED" if failures else "FINISHED"
