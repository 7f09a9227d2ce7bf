"""A sensor that trains again when the check ``live_error`` has failed."""

from collections.abc import Callable
from typing import Any

from dagster import (
    AssetCheckKey,
    AssetKey,
    DefaultSensorStatus,
    RunRequest,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    sensor,
)

from wine_quality.batch.live_error import CHECK, SEGMENT

_SECONDS = 60
_MOST_RECORDS = 100
"""Of a model with segments, whose checks are told apart by what they say; a tick sees no others."""


def retraining_sensor(
    name: str,
    asset: str,
    job: str,
    description: str,
    run_config: Callable[[], dict[str, Any] | None] = lambda: None,
    has_segments: bool = False,
) -> SensorDefinition:
    """One run of a training job for each time that the check of an asset of predictions failed.

    Args:
        asset: The one with the check.
        job: Name of the one that trains; if there are segments, the failed one is its partition.
        run_config: Of the run; None: its defaults.
    """

    @sensor(
        name=name,
        job_name=job,
        minimum_interval_seconds=_SECONDS,
        # Off until somebody starts it: labels may be wrong, and a new model is no remedy for that.
        default_status=DefaultSensorStatus.STOPPED,
        description=description,
    )
    def after_live_error(context: SensorEvaluationContext) -> list[RunRequest] | SkipReason:
        failed = _failed(context, asset, has_segments)
        if isinstance(failed, SkipReason):
            return failed
        # One that is passed by now is forgotten; the run keys remember it all the same.
        answered = set((context.cursor or "").split())
        context.update_cursor(" ".join(failed))
        # The key: a tick that is interrupted before its cursor is stored launches nothing twice.
        requests = [
            RunRequest(run_key=run_id, partition_key=segment, run_config=run_config())
            for run_id, segment in failed.items()
            if run_id not in answered
        ]
        if not requests:
            return SkipReason(f"Run {', '.join(failed)}, in which it failed, was answered already.")
        return requests

    return after_live_error


def _failed(
    context: SensorEvaluationContext, asset: str, has_segments: bool
) -> dict[str, str | None] | SkipReason:
    """Segments, by the run of their newest check, where that has failed; never empty."""
    records = context.instance.event_log_storage.get_asset_check_execution_history(
        AssetCheckKey(AssetKey(asset), CHECK), limit=_MOST_RECORDS if has_segments else 1
    )
    if not records:
        return SkipReason(f"The check {CHECK} of {asset} was not executed yet.")
    newest: dict[str | None, tuple[str, bool]] = {}
    for record in records:  # the newest first
        event = record.event and record.event.dagster_event
        if event is None or event.event_type_value != "ASSET_CHECK_EVALUATION":
            continue
        metadata = event.asset_check_evaluation_data.metadata
        segment = str(metadata[SEGMENT].value) if SEGMENT in metadata else None
        if (segment is not None) is has_segments:
            newest.setdefault(segment, (record.run_id, record.status.value == "FAILED"))
    if not newest:
        return SkipReason(f"The check {CHECK} of {asset} is being executed.")
    failed = {run_id: segment for segment, (run_id, has_failed) in newest.items() if has_failed}
    return failed or SkipReason(f"The check {CHECK} of {asset} passed.")
