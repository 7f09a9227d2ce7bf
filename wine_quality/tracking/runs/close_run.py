"""Close an MLflow run whose own process is gone, with the client of the version that opened it.

``python -m wine_quality.tracking.runs.close_run URI EXPERIMENT MLFLOW_RUN_ID DAGSTER_RUN_ID
STATUS`` is the part that runs in that version's environment; it answers with JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_EXPERIMENT_TAG,
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_STATE_TAG,
    MLFLOW_URI_TAG,
    MLFLOW_VERSION_TAG,
    change_tag,
    under_current_names,
)
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.escaping import ShownError
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.runs.experiments import experiments
from wine_quality.tracking.runs.run_tags import LEFT, OPEN, RUN_TAG
from wine_quality.tracking.servers.addresses import (
    ForbiddenServerError,
    allowed_tracking_uri,
    configured_uri,
    without_password,
)
from wine_quality.tracking.servers.embedded_store import embedded_uri

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

_SECONDS = 25
_PROBE_SECONDS = 3
_EXPERIMENTS_PER_SEARCH = 100
NOT_MADE = "none"
"""State of a Dagster run that made no MLflow run, or whose MLflow run is deleted."""


class NotClosedError(ShownError, RuntimeError):
    """The MLflow run could not be closed now; the message gives the reason."""


@dataclass(frozen=True)
class Closed:
    """The outcome of closing the MLflow run of a Dagster run.

    Attributes:
        mlflow_run_id: The run that was closed, or that another Dagster run holds; empty: there is
            none in any experiment.
        experiment: Its name.
        holder: The Dagster run that has taken it up meanwhile, and to which it was left; or empty.
    """

    mlflow_run_id: str = ""
    experiment: str = ""
    holder: str = ""

    def describe(self, status: str, uri: str) -> str:
        """In a sentence."""
        if not self.mlflow_run_id:
            return (
                f"There was no MLflow run to close: none of {without_password(uri)}, in any "
                "experiment, is of this Dagster run."
            )
        run = f"MLflow run {self.mlflow_run_id} (experiment {self.experiment})"
        if self.holder:
            return f"{run} is left to Dagster run {self.holder}, which holds it."
        return f"{run} ended as {status}."


def is_open(run: DagsterRun) -> bool:
    """Whether this Dagster run opened an MLflow run and nobody has closed it."""
    tags = under_current_names(run.tags)
    return tags.get(MLFLOW_STATE_TAG) == OPEN and tags.get(MLFLOW_OWNER_TAG) == run.run_id


def close_mlflow_run(instance: DagsterInstance, dagster_run_id: str, status: str) -> str:
    """End the MLflow run of a Dagster run as ``status`` unless it has ended already.

    Returns:
        A sentence for the log on what was done.

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
            + [uri, experiment, run.tags.get(MLFLOW_RUN_TAG, ""), run.run_id, status],
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
    closed = Closed(**json.loads(answer.stdout.splitlines()[-1]))
    noted = {MLFLOW_RUN_TAG: closed.mlflow_run_id}
    if closed.experiment:
        noted[MLFLOW_EXPERIMENT_TAG] = closed.experiment
    instance.add_run_tags(run.run_id, noted)
    state = LEFT if closed.holder else status if closed.mlflow_run_id else NOT_MADE
    change_tag(instance, run.run_id, MLFLOW_STATE_TAG, state)
    return closed.describe(status, uri)


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


def main(uri: str, experiment: str, mlflow_run_id: str, dagster_run_id: str, status: str) -> Closed:
    """End every MLflow run that this Dagster run was the last to hold, and its children.

    A run that another Dagster run has taken up since has the other's id in its tag, and is left
    alone.

    Args:
        experiment: Name of the one to look in first; all others follow when nothing is there.
        mlflow_run_id: As noted on the Dagster run; may be empty, or that of the run before.
    """
    from mlflow.tracking import MlflowClient

    from wine_quality.tracking.runs.child_runs import end_running_children

    client = MlflowClient(uri)
    found = _runs_of(client, experiment, dagster_run_id)
    for run in found:
        end_running_children(client, run.info.experiment_id, run.info.run_id, status)
        # Also one that had been taken up and not yet set to RUNNING.
        if run.info.status != status:
            client.set_terminated(run.info.run_id, status)
    if found:
        return Closed(found[0].info.run_id, _name_of(client, found[0]))
    return _held_by_another(client, mlflow_run_id, dagster_run_id) or Closed()


def _runs_of(client: Any, experiment: str, dagster_run_id: str) -> list[Any]:
    """Its MLflow runs, in the experiment that was noted or else in any."""
    wanted = f"tags.`{RUN_TAG}` = '{dagster_run_id}'"
    noted = client.get_experiment_by_name(experiment)
    found = list(client.search_runs([noted.experiment_id], wanted)) if noted else []
    if found:
        return found
    others = [other.experiment_id for other in experiments(client)]
    return [
        run
        for start in range(0, len(others), _EXPERIMENTS_PER_SEARCH)
        for run in client.search_runs(others[start : start + _EXPERIMENTS_PER_SEARCH], wanted)
    ]


def _held_by_another(client: Any, mlflow_run_id: str, dagster_run_id: str) -> Closed | None:
    """The run that was noted, where another Dagster run has it now."""
    from mlflow.exceptions import MlflowException

    if not mlflow_run_id:
        return None
    try:
        run = client.get_run(mlflow_run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    holder = run.data.tags.get(RUN_TAG, "")
    if holder in ("", dagster_run_id):
        return None
    return Closed(mlflow_run_id, _name_of(client, run), holder)


def _name_of(client: Any, run: Any) -> str:
    return client.get_experiment(run.info.experiment_id).name


if __name__ == "__main__":
    print(json.dumps(asdict(main(*sys.argv[1:6]))))
