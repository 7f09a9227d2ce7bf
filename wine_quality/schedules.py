"""Regular retraining, for data that changes without a file that arrives."""

import os

from dagster import DefaultScheduleStatus, ScheduleDefinition

from wine_quality.jobs import wine_quality_model

_WEEKLY = "0 6 * * 1"


def retraining_schedule() -> ScheduleDefinition:
    """Mondays at six, or ``$WINE_QUALITY_CRON``; it runs by default when that is set."""
    cron = os.environ.get("WINE_QUALITY_CRON")
    return ScheduleDefinition(
        name="regular_retraining",
        job=wine_quality_model,
        cron_schedule=cron or _WEEKLY,
        default_status=DefaultScheduleStatus.RUNNING if cron else DefaultScheduleStatus.STOPPED,
        description="Trains again on the configured source. $WINE_QUALITY_CRON sets and starts it.",
    )
