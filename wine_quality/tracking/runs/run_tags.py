"""Tags that join a Dagster run with its MLflow run, both ways.

Those on the Dagster run (``wine_quality.dagster_support.run_tag_names``) are all that is needed to
close the MLflow run when the process that opened it is gone.
"""

from __future__ import annotations

import getpass
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from wine_quality.paths import IS_CHECKOUT, PROJECT_ROOT, running_ui

if TYPE_CHECKING:
    from dagster import DagsterRun

USUAL_UI = "http://localhost:5000"
FROM_MLFLOW = "/dagster/"
"""Below it the MLflow UIs of `make up` lead to Dagster's, wherever that is then."""

# On the MLflow run.
RUN_TAG = "dagster.run_id"
ROOT_TAG = "dagster.root_run_id"
# What MLflow's UI shows as the description, as Markdown; people write there too.
NOTE_TAG = "mlflow.note.content"
_LINK_START = "[Dagster run "

# Values of MLFLOW_STATE_TAG on the Dagster run: OPEN from before the MLflow run is made until it
# has ended; then its status at the end, or LEFT where another Dagster run had taken it up.
# Dagster copies a run's tags to its re-executions: MLFLOW_OWNER_TAG names the run they belong to.
OPEN = "open"
LEFT = "left to another run"


def run_name(run: DagsterRun) -> str:
    """The name in MLflow's list of runs: ``<job>-<run id>``, or ``materialize-<run id>`` for assets
    picked by hand; 8 characters of the id."""
    # Dagster's name for the runs of "Materialize"; private, and nothing to show anybody.
    picked = run.job_name.startswith("__")
    return f"{'materialize' if picked else run.job_name}-{run.run_id[:8]}"


def dagster_run_url(run_id: str) -> str:
    """URL of the run's page, see ``absolute_url``."""
    return absolute_url(f"/runs/{run_id}")


def absolute_url(url: str) -> str:
    """A path below Dagster's address as one that can be opened from anywhere; other URLs, and
    none, as they are.

    The address is ``$DAGSTER_WEBSERVER_URL``, else that of the `make up` that runs over this home,
    else where one will be.
    """
    if not url.startswith("/"):
        return url
    webserver = os.environ.get("DAGSTER_WEBSERVER_URL") or running_ui() or USUAL_UI
    return f"{webserver.rstrip('/')}{url}"


def dagster_link(run: DagsterRun, ui_url: str = "") -> str:
    """The way back to Dagster, for the description of the MLflow run.

    Args:
        ui_url: Where MLflow is seen. A UI of `make up`, a path, knows where Dagster's is.
    """
    what = "of assets" if run.job_name.startswith("__") else f"of the job {run.job_name}"
    path = f"runs/{run.run_id}"
    url = f"{FROM_MLFLOW}{path}" if ui_url.startswith("/") else absolute_url(f"/{path}")
    return f"{_LINK_START}{run.run_id[:8]}]({url}) {what}"


def with_dagster_link(note: str, link: str) -> str:
    """A description with the link to the Dagster run that has the MLflow run now.

    What a person wrote is kept; where they took the link out, it stays out.
    """
    if not note:
        return link
    first, newline, rest = note.partition("\n")
    return f"{link}{newline}{rest}" if first.startswith(_LINK_START) else note


def tags_for_mlflow(run: DagsterRun, ui_url: str = "") -> dict[str, str]:
    """Tags that name the Dagster run on its MLflow run; ``ui_url`` is where MLflow shows it."""
    return {
        RUN_TAG: run.run_id,
        ROOT_TAG: run.root_run_id or run.run_id,
        "dagster.run_url": dagster_run_url(run.run_id),
        "dagster.job_name": run.job_name,
        NOTE_TAG: dagster_link(run, ui_url),
        "mlflow.user": _user(),
        "mlflow.source.type": "JOB",
        "mlflow.source.name": run.job_name,
        "mlflow.source.git.commit": git_commit(code_folder(run)),
    }


def _user() -> str:
    """Name of the user; a container's may have none."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


def code_folder(run: DagsterRun) -> Path:
    """The code's folder of a run's job: this project, or another that uses this package."""
    origin = run.job_code_origin
    pointer = origin.repository_origin.code_pointer if origin else None
    if str(getattr(pointer, "module", "")).partition(".")[0] == __name__.partition(".")[0]:
        return PROJECT_ROOT
    file = getattr(pointer, "python_file", None)
    folder = Path(file).parent if file else getattr(pointer, "working_directory", None)
    return Path(folder or PROJECT_ROOT)


@lru_cache(maxsize=8)
def git_commit(folder: Path = PROJECT_ROOT) -> str:
    """The commit of a project: ``$GIT_COMMIT`` (images), else git's, else ``unknown``."""
    if "GIT_COMMIT" in os.environ:
        return os.environ["GIT_COMMIT"]
    if folder == PROJECT_ROOT and not IS_CHECKOUT:
        return "unknown"
    try:
        answer = subprocess.run(
            ["git", "-C", str(folder), "rev-parse", "HEAD"],
            capture_output=True,
            text=True,
            timeout=5,
        )
    except (OSError, subprocess.TimeoutExpired):
        return "unknown"
    return answer.stdout.strip() or "unknown"
