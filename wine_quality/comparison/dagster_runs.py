"""Which MLflow run a Dagster run wrote to, by the tags that it has in Dagster."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import replace

from wine_quality.comparison.run_names import RunName
from wine_quality.comparison.stores import Store, server_store
from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_RUN_TAG,
    MLFLOW_URI_TAG,
    MLFLOW_VERSION_TAG,
    under_current_names,
)
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import dagster_home_in_use


def look_up(names: Iterable[RunName]) -> tuple[list[RunName], list[Store]]:
    """The names, with the MLflow run of each Dagster run that this instance knows, and the servers
    that these were tracked on.

    A Dagster run that continued another one's MLflow run is only known here; others are tagged
    with the Dagster run's id in MLflow too.
    """
    names = list(names)
    wanted = [name.dagster_run for name in names if name.dagster_run]
    tags = _tags_of(wanted) if wanted else {}
    found, servers = [], []
    for name in names:
        mine = tags.get(name.dagster_run, {})
        key, uri = mine.get(MLFLOW_VERSION_TAG, ""), mine.get(MLFLOW_URI_TAG, "")
        if not mine.get(MLFLOW_RUN_TAG) or key not in MLFLOW_VERSIONS:
            found.append(name)
            continue
        found.append(replace(name, mlflow_run=mine[MLFLOW_RUN_TAG], version=name.version or key))
        if uri.startswith(("http://", "https://")):
            servers.append(server_store(key, uri))
    return found, servers


def _tags_of(run_ids: Iterable[str]) -> dict[str, dict[str, str]]:
    """Tags by run id; empty where there is no Dagster home yet, which is not created here."""
    from wine_quality.dagster_support.instance import open_dagster, stores_are_made

    folder = dagster_home_in_use()
    if not os.environ.get("DAGSTER_HOME") and not stores_are_made(folder):
        return {}
    with open_dagster(folder) as instance:
        runs = {run_id: instance.get_run_by_id(run_id) for run_id in run_ids}
        return {run_id: under_current_names(run.tags) for run_id, run in runs.items() if run}
