"""Close an MLflow run whose own process is gone, with the client of the version that opened it.

``python -m wine_quality.tracking.closing URI EXPERIMENT DAGSTER_RUN_ID STATUS`` is the part that
runs in that version's environment.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

from wine_quality.environments.versions import PROJECT_ROOT, get_version
from wine_quality.escaping import ShownError
from wine_quality.run_tag_names import (
    MLFLOW_EXPERIMENT_TAG,
    MLFLOW_OWNER_TAG,
    MLFLOW_STATE_TAG,
    MLFLOW_URI_TAG,
    MLFLOW_VERSION_TAG,
    change_tag,
    under_current_names,
)
from wine_quality.tracking.addresses import (
    ForbiddenServerError,
    allowed_tracking_uri,
    configured_uri,
)
from wine_quality.tracking.embedded_store import embedded_uri
from wine_quality.tracking.run_tags import OPEN, RUN_TAG, without_password

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_SECONDS = 25
_PROBE_SECONDS = 3


class NotClosedError(ShownError, RuntimeError):
    """The MLflow run could not be closed now; the message says why."""


def is_open(run: DagsterRun) -> bool:
    """Whether this Dagster run opened an MLflow run and nobody has closed it."""
    tags = under_current_names(run.tags)
    return tags.get(MLFLOW_STATE_TAG) == OPEN and tags.get(MLFLOW_OWNER_TAG) == run.run_id


def close_mlflow_run(instance: DagsterInstance, dagster_run_id: str, status: str) -> str:
    """End the MLflow run of a Dagster run as ``status`` unless it has ended already.

    Returns:
        A sentence that says what was done, for the log.

    Raises:
        NotClosedError: the tracking server gives no answer, or refuses.
    """
    run = instance.get_run_by_id(dagster_run_id)
    if run is None or not is_open(run):
        return "No MLflow run was left open."
    uri = tracking_uri_of(run)
    tags = under_current_names(run.tags)
    try:
        version = get_version(tags[MLFLOW_VERSION_TAG])
    except ValueError as error:
        raise NotClosedError(f"the tag {MLFLOW_VERSION_TAG}: {error}") from None
    experiment = tags[MLFLOW_EXPERIMENT_TAG]
    if uri != embedded_uri(version.key):
        try:
            # Tags can be given at launch; the address is the environment's, not the tag's.
            uri = allowed_tracking_uri(uri, version.key)
        except ForbiddenServerError as error:
            raise NotClosedError(str(error)) from error
    _require_answer(uri)
    try:
        answer = subprocess.run(
            [str(version.require_python()), "-W", "ignore", "-m", __name__]
            + [uri, experiment, run.run_id, status],
            env={
                **version.process_variables(),
                "PYTHONPATH": str(PROJECT_ROOT),
                "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
                "MLFLOW_HTTP_REQUEST_TIMEOUT": "10",
                "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
                "MLFLOW_DISABLE_TELEMETRY": "true",
            },
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise NotClosedError(f"{without_password(uri)} gave no answer in {_SECONDS} s") from None
    if answer.returncode != 0:
        raise NotClosedError(answer.stderr.strip()[-500:])
    said = answer.stdout.strip()
    change_tag(instance, run.run_id, MLFLOW_STATE_TAG, said.rpartition(" ")[2].strip("."))
    return said


def tracking_uri_of(run: DagsterRun) -> str:
    """The URI noted on the run; its password, which is not, comes from the environment."""
    tags = under_current_names(run.tags)
    noted = tags[MLFLOW_URI_TAG]
    configured = configured_uri(tags[MLFLOW_VERSION_TAG]) or ""
    return configured if without_password(configured) == noted else noted


def _require_answer(uri: str) -> None:
    """Ask quickly: MLflow's own client would retry for minutes."""
    if not uri.startswith(("http://", "https://")):
        return
    import requests

    try:
        requests.get(f"{uri.rstrip('/')}/health", timeout=_PROBE_SECONDS)
    except requests.RequestException as error:
        raise NotClosedError(
            f"the MLflow server {without_password(uri)} gives no answer ({type(error).__name__})"
        ) from None


def main(uri: str, experiment_name: str, dagster_run_id: str, status: str) -> str:
    """End every running MLflow run that this Dagster run was the last to hold, and its children.

    A re-execution that resumed the run has put its own id into the tag; it is left alone.
    """
    from mlflow.tracking import MlflowClient

    from wine_quality.tracking.child_runs import end_running_children

    client = MlflowClient(uri)
    experiment = client.get_experiment_by_name(experiment_name)
    found = experiment and client.search_runs(
        [experiment.experiment_id], f"tags.`{RUN_TAG}` = '{dagster_run_id}'"
    )
    if experiment is None or not found:
        return "There was no MLflow run to close: none."
    for run in found:
        end_running_children(client, experiment.experiment_id, run.info.run_id, status)
        if run.info.status == "RUNNING":
            client.set_terminated(run.info.run_id, status)
    return f"MLflow run {found[0].info.run_id} ended as {status}."


if __name__ == "__main__":
    print(main(*sys.argv[1:5]))
