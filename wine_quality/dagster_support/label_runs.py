"""Puts the runs that commands of older commits made where the UI looks for the runs of a job.

They lack the tag of their code location. Dagster finds a job's runs by that tag, which can be
written afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from dagster import DagsterInstance

# As Dagster itself writes them on the runs of the code location.
_LABELS = {
    ".dagster/repository": "__repository__@ml_repository",
    "dagster/code_location": "ml_repository",
}
_JOBS = "wine_quality_"
_PAGE = 500


def label_runs(instance: DagsterInstance) -> int:
    """Label those that have no label; returns how many there were."""
    from dagster import RunsFilter

    labelled, cursor = 0, None
    while True:
        page = instance.get_run_records(RunsFilter(), limit=_PAGE, cursor=cursor)
        for record in page:
            run = record.dagster_run
            known = run.remote_job_origin is not None or ".dagster/repository" in run.tags
            if run.job_name.startswith(_JOBS) and not known:
                instance.add_run_tags(run.run_id, _LABELS)
                labelled += 1
        if len(page) < _PAGE:
            return labelled
        cursor = page[-1].dagster_run.run_id
