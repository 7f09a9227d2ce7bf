"""Dagster runs that were done, though Dagster ended them otherwise.

A worker may die after its last step has succeeded and before it has reported that. The code server
or the run monitoring notices only that it died, and reports FAILURE. Re-executing such a run is
refused ("No steps needed to be retried"). The event log knows that it is done.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import TYPE_CHECKING

from dagster import DagsterRunStatus, RunsFilter

from wine_quality.execution.own_runs import is_of_location
from wine_quality.tracking.runs.lifecycle import is_done, report_done

if TYPE_CHECKING:
    from dagster import DagsterInstance

_ENDED_OTHERWISE = [DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_PAGE_SIZE = 50
_OVERLAP = timedelta(minutes=2)
"""Looked at again: clocks of other machines may differ."""


def count_done_runs(
    instance: DagsterInstance, since: datetime, location: str | None = None
) -> tuple[list[str], datetime]:
    """Report as SUCCESS the runs ended otherwise after all their steps had succeeded.

    Args:
        since: When the last look was, as this function returned it; with time zone.
        location: The code location whose runs these are; None: of all.

    Returns:
        Their ids, and from when on to look the next time.
    """
    began = datetime.now(timezone.utc)
    records = instance.get_run_records(
        RunsFilter(statuses=_ENDED_OTHERWISE, updated_after=since),
        limit=_PAGE_SIZE,
        order_by="update_timestamp",
        ascending=True,
    )
    runs = [record.dagster_run for record in records]
    done = [run for run in runs if is_of_location(run, location) and is_done(instance, run)]
    for run in done:
        report_done(instance, run)
    if len(records) == _PAGE_SIZE:
        reached = records[-1].update_timestamp
        if reached.tzinfo is None:
            reached = reached.replace(tzinfo=timezone.utc)
        return [run.run_id for run in done], reached
    return [run.run_id for run in done], max(since, began - _OVERLAP)
