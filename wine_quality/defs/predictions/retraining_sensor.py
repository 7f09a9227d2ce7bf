"""``live_error_retraining``: trains again when the check ``live_error`` has failed."""

from dagster import (
    AssetCheckKey,
    AssetKey,
    DefaultSensorStatus,
    RunRequest,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.defs.data.new_file_sensor import WatchedSource
from wine_quality.defs.jobs import wine_quality_model
from wine_quality.defs.predictions.live_error import ASSET, CHECK

_SECONDS = 60
_KEY = AssetCheckKey(AssetKey(ASSET), CHECK)


@sensor(
    job=wine_quality_model,
    minimum_interval_seconds=_SECONDS,
    # Off until somebody starts it: labels may be wrong, and a new model is not the remedy for that.
    default_status=DefaultSensorStatus.STOPPED,
    description="Requests one run of wine_quality_model, as the regular retraining, for each time "
    "that the check live_error of batch_predictions has failed. Stopped until it is started.",
)
def live_error_retraining(context: SensorEvaluationContext) -> RunRequest | SkipReason:
    record = context.instance.get_latest_asset_check_evaluation_record(_KEY)
    if record is None:
        return SkipReason(f"The check {CHECK} of {ASSET} was not executed yet.")
    evaluation = record.event and record.event.dagster_event
    if evaluation is None or evaluation.event_type_value != "ASSET_CHECK_EVALUATION":
        return SkipReason(f"The check {CHECK} of {ASSET} is being executed.")
    if record.status.value != "FAILED":
        return SkipReason(f"The check {CHECK} of {ASSET} passed.")
    if context.cursor == record.run_id:
        return SkipReason(f"Run {record.run_id}, in which it failed, was answered already.")
    context.update_cursor(record.run_id)
    watch = WatchedSource.from_environment()
    # The key: a tick that is interrupted before its cursor is stored launches nothing twice.
    return RunRequest(
        run_key=record.run_id,
        run_config=watch.run_config(TrainingData.accumulated) if watch.place else None,
    )
