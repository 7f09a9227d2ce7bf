"""The sensors that send notices: of failed runs, of new champions, and those not delivered before.

Failures come from Dagster's own run-failure sensor, each once. Promotions are found by the tags of
the runs that made them: so those of ``make promote`` are sent too, which no code location launched,
those of a run that failed afterwards, and those from when no daemon ran.

A tick sends the notice of one run: Dagster ends a tick after a minute and forgets what it did, and
a mail server that hangs must not make it send the same again and again. A notice that a channel did
not take is noted at the run, and ``undelivered_notice`` sends it by that channel alone, for a day.
"""

import datetime
import logging
import time
from collections.abc import Sequence
from dataclasses import replace

from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRun,
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
from wine_quality.notices.undelivered import (
    FAILED,
    FAILURE,
    PROMOTION,
    SENT,
    Undelivered,
    undelivered,
)
from wine_quality.tracking.registry.promotion_note import UNTOLD, Promotion
from wine_quality.tracking.runs.lifecycle import is_done

FAILURE_SENSOR, PROMOTION_SENSOR = "run_failure_notice", "promotion_notice"
UNDELIVERED_SENSOR = "undelivered_notice"
_INTERVAL_SECONDS = 10
_DAYS = 7
_ENDED = [DagsterRunStatus.SUCCESS, DagsterRunStatus.FAILURE, DagsterRunStatus.CANCELED]
_WHY_FAILED = {
    DagsterEventType.STEP_FAILURE,
    DagsterEventType.ENGINE_EVENT,
    DagsterEventType.RESOURCE_INIT_FAILURE,
    DagsterEventType.RUN_FAILURE,
}


def notice_sensors() -> list[SensorDefinition]:
    """All three, by the settings ``WINE_QUALITY_NOTIFY`` and its kin.

    A setting that cannot be used fails these sensors' ticks, with the reason, and nothing else.
    Notices of the time until it is mended are sent then.
    """
    try:
        settings = NoticeSettings.from_environment()
    except ValueError as error:
        names = (FAILURE_SENSOR, PROMOTION_SENSOR, UNDELIVERED_SENSOR)
        return [_unusable(name, str(error)) for name in names]
    return [_failures(settings), _promotions(settings), _undelivered(settings)]


def _failures(settings: NoticeSettings) -> SensorDefinition:
    @run_failure_sensor(
        name=FAILURE_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description=f"Sends a notice of each run that failed, by {', '.join(settings.channels)}.",
    )
    def run_failure_notice(context: RunFailureSensorContext) -> DagsterRunReaction | SkipReason:
        run = context.dagster_run
        if is_done(context.instance, run):
            return SkipReason(f"Run {run.run_id} was done when its worker died.")
        problem = None
        try:
            _deliver_first(context.instance, FAILURE, run, settings, context.log)
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
        description=f"Sends a notice of each new champion, by {', '.join(settings.channels)}.",
    )
    def promotion_notice(context: SensorEvaluationContext) -> SkipReason:
        return notify_promotions(context, settings)

    return promotion_notice


def notify_promotions(context: SensorEvaluationContext, settings: NoticeSettings) -> SkipReason:
    """Send the notice of the oldest promotion that has none yet.

    Raises:
        NotSentError: names the channels that failed, which ``undelivered_notice`` tries again.
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
    waiting = [run for run in reversed(ended) if Promotion.of(run)]
    if not waiting:
        return SkipReason("No new champion without a notice.")
    run = waiting[0]
    title = _deliver_first(instance, PROMOTION, run, settings, context.log)
    change_tag(instance, run.run_id, PROMOTION_NOTICE_TAG, SENT)
    left = f"; {len(waiting) - 1} more to report" if waiting[1:] else ""
    return SkipReason(f"Reported that {title}{left}.")


def _undelivered(settings: NoticeSettings) -> SensorDefinition:
    @sensor(
        name=UNDELIVERED_SENSOR,
        minimum_interval_seconds=_INTERVAL_SECONDS,
        default_status=DefaultSensorStatus.RUNNING,
        description="Sends what a channel did not take, by that channel alone, for a day.",
    )
    def undelivered_notice(context: SensorEvaluationContext) -> SkipReason:
        return deliver_again(context.instance, settings, context.log, time.time())

    return undelivered_notice


def deliver_again(
    instance: DagsterInstance, settings: NoticeSettings, log: logging.Logger, now: float
) -> SkipReason:
    """Send the next undelivered notice, by the channels that did not take it.

    Args:
        now: Seconds since 1970.

    Raises:
        NotSentError: it is a day old and is given up.
    """
    waiting = undelivered(instance)
    if not waiting or waiting[0][1].next_try > now:
        return SkipReason(f"{len(waiting)} notices to send again, none of them yet.")
    run, left = waiting[0]
    notice = _notice(instance, left.kind, run)
    channels = [name for name in left.channels if name in settings.channels]
    # Before it is sent: one that brings the daemon down is not the first again after its restart.
    left.after_next_try(now).store(instance)
    try:
        _deliver(notice, settings, log, channels, once_more=True)
    except NotSentError as error:
        if left.is_too_old(now):
            left.close(instance, FAILED)
            raise NotSentError(f"Given up after a day: {error}") from None
        still = replace(left.after_next_try(now), channels=error.channels)
        still.store(instance)
        return SkipReason(f"{error}; tried again in {still.next_try - now:.0f} s.")
    left.close(instance, SENT)
    return SkipReason(
        f"Sent now by {', '.join(channels) or 'none that is still set'}: {notice.title}."
    )


def _deliver_first(
    instance: DagsterInstance,
    kind: str,
    run: DagsterRun,
    settings: NoticeSettings,
    log: logging.Logger,
) -> str:
    """Send the notice of a run by all channels; those that fail are noted at the run.

    Returns:
        The notice's title.

    Raises:
        NotSentError: names the channels that failed.
    """
    notice = _notice(instance, kind, run)
    try:
        _deliver(notice, settings, log, settings.channels)
    except NotSentError as error:
        Undelivered.of_first_try(kind, run.run_id, error.channels, time.time()).store(instance)
        raise
    return notice.title


def _notice(instance: DagsterInstance, kind: str, run: DagsterRun) -> Notice:
    promotion = Promotion.of(run) if kind == PROMOTION else None
    of_type = DagsterEventType.ASSET_MATERIALIZATION if promotion else _WHY_FAILED
    logged = instance.all_logs(run.run_id, of_type=of_type)
    events = [entry.dagster_event for entry in logged if entry.dagster_event]
    return text_of_promotion(run, promotion, events) if promotion else failure_notice(run, events)


def _deliver(
    notice: Notice,
    settings: NoticeSettings,
    log: logging.Logger,
    channels: Sequence[str],
    once_more: bool = False,
) -> None:
    made = channels_of(settings, log)
    wanted = {name: made[name] for name in channels}
    seconds, shown = settings.seconds, settings.without_secrets
    deliver(notice, wanted, seconds, None if once_more else log, shown)


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
