"""The closing lines of a command: what its run found, and where it is to be seen."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

from wine_quality.models.evaluate import METRICS
from wine_quality.paths import dagster_home_in_use, home, running_ui, up_command
from wine_quality.tracking.runs.run_tags import absolute_url, dagster_run_url


def links_to_run(run_id: str, mlflow_run: str, key: str) -> str:
    """Links where a UI shows the run, else how to start one.

    Args:
        run_id: Of the Dagster run.
        mlflow_run: Where the MLflow run is: a path below Dagster's address for an embedded store,
            a URL for a server, or a sentence that no UI shows it.
        key: The MLflow version.
    """
    is_shown = bool(running_ui() or os.environ.get("DAGSTER_WEBSERVER_URL"))
    is_embedded = mlflow_run.startswith("/")
    if is_embedded and not is_shown:
        return f"Open the UIs: {up_command(key)}\n(data in {home()})"
    start = f"{up_command(key)} (data in {dagster_home_in_use()})"
    dagster = dagster_run_url(run_id) if is_shown else start
    return f"Dagster: {dagster}\nMLflow:  {absolute_url(mlflow_run)}"


def metric_lines(found: Mapping[str, Any]) -> str:
    """A line for each metric that a run has; one in memory may have more than a streamed one."""
    return "\n".join(f"{name:<14} {found[name]!r}" for name in METRICS if name in found)
