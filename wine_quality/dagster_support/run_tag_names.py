"""The names of the tags that the project writes on Dagster runs, and where people see them.

Dagster's Runs page shows every tag in its row, save those whose name begins with ``dagster/``,
which wait behind "View all tags"; those that begin with ``.dagster/`` it shows nowhere. All can be
asked for with a ``RunsFilter``. So three tags that people look for stay in the row, facts about
the run are a click away, and what only the project's own sensors read is hidden.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

# In the row.
MLFLOW_VERSION_TAG = "mlflow/version"
FILE_TAG = "file"
PROMOTED_TAG = "promoted"

# Behind "View all tags".
MLFLOW_RUN_TAG = "dagster/mlflow.run_id"
MLFLOW_URI_TAG = "dagster/mlflow.tracking_uri"
MLFLOW_EXPERIMENT_TAG = "dagster/mlflow.experiment"
MLFLOW_STATE_TAG = "dagster/mlflow.state"
DATA_HASH_TAG = "dagster/wine_quality.data_sha256"
FILE_HASH_TAG = "dagster/wine_quality.source_sha256"
SOURCE_TAG = "dagster/wine_quality.source"
SOURCE_VERSION_TAG = "dagster/wine_quality.source_version"
ARRIVED_TAG = "dagster/wine_quality.arrived"
PROMOTED_MODEL_TAG = "dagster/wine_quality.promoted_model"
PROMOTED_BEFORE_TAG = "dagster/wine_quality.promoted_before"

# Nowhere.
MLFLOW_OWNER_TAG = ".dagster/mlflow.dagster_run_id"
TRAINED_BY_TAG = ".dagster/mlflow.trained_by"
PROMOTED_URL_TAG = ".dagster/wine_quality.promoted_url"
WITHDRAWN_TAG = ".dagster/wine_quality.withdrawn"
PROMOTED_BY_TAG = ".dagster/wine_quality.promoted_by"
PROMOTION_NOTICE_TAG = ".dagster/wine_quality.promotion_notice"
PROMOTION_NOTICE_LEFT_TAG = ".dagster/wine_quality.promotion_notice_left"
FAILURE_NOTICE_TAG = ".dagster/wine_quality.failure_notice"
FAILURE_NOTICE_LEFT_TAG = ".dagster/wine_quality.failure_notice_left"
CLI_TAG = ".dagster/wine_quality.cli"
POD_OF_TABLE_TAG = ".dagster/wine_quality.pod_of_table"

# What the same tags were called in homes of before November 2026.
FORMER_NAMES: Mapping[str, str] = {
    PROMOTED_TAG: "wine_quality/promoted",
    MLFLOW_RUN_TAG: "mlflow/run_id",
    MLFLOW_URI_TAG: "mlflow/tracking_uri",
    MLFLOW_EXPERIMENT_TAG: "mlflow/experiment",
    MLFLOW_STATE_TAG: "mlflow/state",
    DATA_HASH_TAG: "data_sha256",
    FILE_HASH_TAG: "wine_quality/source_sha256",
    SOURCE_TAG: "wine_quality/source",
    SOURCE_VERSION_TAG: "wine_quality/source_version",
    ARRIVED_TAG: "wine_quality/arrived",
    PROMOTED_MODEL_TAG: "wine_quality/promoted_model",
    PROMOTED_BEFORE_TAG: "wine_quality/promoted_before",
    MLFLOW_OWNER_TAG: "mlflow/dagster_run_id",
    PROMOTED_URL_TAG: "wine_quality/promoted_url",
    WITHDRAWN_TAG: "wine_quality/withdrawn",
    PROMOTED_BY_TAG: "wine_quality/promoted_by",
    PROMOTION_NOTICE_TAG: "wine_quality/promotion_notice",
    POD_OF_TABLE_TAG: "wine_quality/pod_of_table",
}


def under_current_names(tags: Mapping[str, str]) -> dict[str, str]:
    """A run's tags, those of an older home under today's names too; today's win."""
    former = {new: tags[old] for new, old in FORMER_NAMES.items() if old in tags}
    return {**former, **tags}


def runs_tagged(
    instance: DagsterInstance, name: str, value: str, **filters: Any
) -> list[DagsterRun]:
    """The runs with this tag, under its former name too, newest first.

    Args:
        filters: Further fields of ``RunsFilter``.
    """
    from dagster import RunsFilter

    records = {}
    for key in {name, FORMER_NAMES.get(name, name)}:
        for record in instance.get_run_records(RunsFilter(tags={key: value}, **filters)):
            records[record.storage_id] = record.dagster_run
    runs = [records[number] for number in sorted(records, reverse=True)]
    # One may carry a former name's value that a newer one has replaced.
    return [run for run in runs if under_current_names(run.tags).get(name) == value]


def change_tag(instance: DagsterInstance, run_id: str, name: str, value: str) -> None:
    """Write a tag whose value changes; where the run has its former name, that too, so that
    ``runs_tagged`` does not read the run again and again."""
    run = instance.get_run_by_id(run_id)
    former = FORMER_NAMES.get(name)
    known = run is not None and former is not None and former in run.tags
    instance.add_run_tags(run_id, {name: value, **({former: value} if known and former else {})})
