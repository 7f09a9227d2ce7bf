"""``run_failure_notice`` and ``promotion_notice``: sensors that tell people.

Failures come from Dagster's own run-failure sensor, each once. Promotions are found by the tags of
the runs that made them: so those of ``make promote`` are told too, which no code location launched,
those of a run that failed afterwards, and those from when no daemon ran.

A tick tells of one run: Dagster ends a tick after a minute and forgets what it did, and a mail
server that hangs must not make it tell the same again and again.
"""

import datetime
import logging

from dagster import (
    DagsterEventType,
    DagsterRunStatus,
    DefaultSensorStatus,
    RunFailureSensorContext,
    SensorDefinition,
    SensorEvaluationContext,
    SkipReason,
    run_failure_sensor,
    sensor,
)

from wine_quality.dagster_support.dagster_private import DagsterRunReaction, SerializableErrorInfo
from wine_quality.dagster_support.run_tag_names import PROMOTION_NOTICE_TAG, change_tag, runs_tagged
from wine_quality.notices.channels import channels_of
from wine_quality.notices.delivery import deliver
from wine_quality.notices.notice import Notice, NotSentError
from wine_quality.notices.settings import NoticeSettings
from wine_quality.notices.texts import failure_notice
from wine_quality.notices.texts import promotion_notice as text_of_promotion
from wine_quality.tracking.registry.promotion_note import UNTOLD, Promotion
from wine_quality.tracking.runs.lifecycle import is_done

FAILURE_SENSOR, PROMOTION_SENSOR = "run_failure_notice", "promotion_notice"
_INTERVAL_SECONDS = 5
_DAYS = 7
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_WHY_FAILED = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ENGINE_EVENT,
    DagsterEventType.RESOURCE_INIT_FAILURE,
    DagsterEventType.RUN_FAILURE,
}


def notice_sensors() -> list[SensorDefinition]:
    """Both, as ``WINE_QUALITY_NOTIFY`` and its kin say.

    What cannot be used there fails these sensors' ticks, with the reason, and nothing else; what
    happens meanwhile is told when it has been put right.
    """
    try:
        settings = NoticeSettings.from_environment()
    except ValueError as error:
        return [_unusable(name, str(error)) for name in (FAILURE_SENSOR, PROMOTION_SENSOR)]
    return [_failures(settings), _promotions(settings)]


def _failures(settings: NoticeSettings) -> SensorDefinition:
    @run_failure_sensor(
        name=FAILURE_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Tells of each run that failed, by {', '.join(settings.channels)}.",
    )
    def run_failure_notice(context: RunFailureSensorContext) -> DagsterRunReaction | SkipReason:
        run = context.dagster_run
        if is_done(context.instance, run):
            return SkipReason(f"Run {run.run_id} was done when its worker died.")
        logged = context.instance.all_logs(run.run_id, of_type=_WHY_FAILED)
        notice = failure_notice(run, [e.dagster_event for e in logged if e.dagster_event])
        problem = None
        try:
            _deliver(notice, settings, context.log)
        except NotSentError as error:
            problem = SerializableErrorInfo(str(error), stack=[], cls_name="NotSentError")
        # Returned, for it ends the tick; after an exception Dagster goes on to the next run.
        return DagsterRunReaction(run, error=problem, run_status=DagsterRunStatus.FAILURE)

    return run_failure_notice


def _promotions(settings: NoticeSettings) -> SensorDefinition:
    @sensor(
        name=PROMOTION_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Tells of each new champion, by {', '.join(settings.channels)}.",
    )
    def promotion_notice(context: SensorEvaluationContext) -> SkipReason:
        return tell_promotions(context, settings)

    return promotion_notice


def tell_promotions(context: SensorEvaluationContext, settings: NoticeSettings) -> SkipReason:
    """Tell of the oldest that nobody was told of yet.

    Raises:
        NotSentError: names the channels that failed; they are not tried again at the next tick.
    """
    instance = context.instance
    week = datetime.timedelta(days=_DAYS)
    ended = runs_tagged(
        instance,
        PROMOTION_NOTICE_TAG,
        UNTOLD,
        statuses=_ENDED,
        updated_after=datetime.datetime.now(datetime.timezone.utc) - week,
    )
    untold = [(run, made) for run in reversed(ended) if (made := Promotion.of(run))]
    if not untold:
        return SkipReason("No new champion that nobody was told of.")
    run, made = untold[0]
    logged = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_MATERIALIZATION)
    notice = text_of_promotion(run, made, [e.dagster_event for e in logged if e.dagster_event])
    try:
        _deliver(notice, settings, context.log)
    except NotSentError:
        change_tag(instance, run.run_id, PROMOTION_NOTICE_TAG, "failed")
        raise
    change_tag(instance, run.run_id, PROMOTION_NOTICE_TAG, "sent")
    left = f"; {len(untold) - 1} more to tell" if untold[1:] else ""
    return SkipReason(f"Told that {notice.title}{left}.")


def _deliver(notice: Notice, settings: NoticeSettings, log: logging.Logger) -> None:
    channels = channels_of(settings, log)
    deliver(notice, channels, settings.seconds, log, settings.without_secrets)


def _unusable(name: str, reason: str) -> SensorDefinition:
    @sensor(
        name=name,
        minimum_interval_seconds=3 * _INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Tells nothing, for its settings cannot be used: {reason}",
    )
    def unusable(_context: SensorEvaluationContext) -> SkipReason:
        raise ValueError(reason)

    return unusable


SENSORS = notice_sensors()
