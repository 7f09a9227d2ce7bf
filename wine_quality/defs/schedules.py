"""Regular retraining, for data that changes without a file that arrives; regular live checks."""

from dagster import DefaultScheduleStatus, ScheduleDefinition

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.defs.data.new_file_sensor import WatchedSource
from wine_quality.defs.jobs import wine_quality_live_check, wine_quality_model
from wine_quality.defs.time_zone import in_time_zone, time_zone
from wine_quality.settings.runs import CRON

_WEEKLY = "0 6 * * 1"


def retraining_schedule(watch: WatchedSource) -> ScheduleDefinition:
    """Mondays at six, or ``$WINE_QUALITY_CRON``; it runs by default when that is set.

    Where a place is watched it trains on all files that were accepted, as that place's runs do;
    otherwise with the default config.
    """
    cron = CRON.read()
    data = "every file accepted so far" if watch.place else "the default source"
    return ScheduleDefinition(
        name="regular_retraining",
        job=wine_quality_model,
        cron_schedule=cron or _WEEKLY,
        run_config=watch.run_config(TrainingData.accumulated) if watch.place else None,
        default_status=DefaultScheduleStatus.RUNNING if cron else DefaultScheduleStatus.STOPPED,
        execution_timezone=time_zone(),
        description=in_time_zone(
            f"Trains again on {data}. $WINE_QUALITY_CRON sets its time and starts it."
        ),
    )


def live_check_schedule() -> ScheduleDefinition:
    """Every hour; stopped until somebody starts it, for not everybody serves or logs."""
    return ScheduleDefinition(
        name="hourly_live_check",
        job=wine_quality_live_check,
        cron_schedule="0 * * * *",
        default_status=DefaultScheduleStatus.STOPPED,
        execution_timezone=time_zone(),
        description=in_time_zone(
            "Compares the inputs and predictions of the served model with its training data."
        ),
    )


regular_retraining = retraining_schedule(WatchedSource.from_environment())
hourly_live_check = live_check_schedule()
