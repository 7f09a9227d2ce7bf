"""The reason why a run failed, on top of the event that people see first.

Dagster puts ``Error occurred while executing op …`` or ``Error executing resource_fn …`` there, and
what happened below it. Here the sentence comes first; all of Dagster's own, tracebacks included,
stays below it as its cause.
"""

from __future__ import annotations

import sys

from wine_quality.dagster_support.dagster_private import (
    DagsterEvent,
    DagsterUserCodeProcessError,
    SerializableErrorInfo,
    serializable_error_info_from_exc_info,
)
from wine_quality.execution.failure_reasons import root_of


def with_reason_first(event: DagsterEvent) -> DagsterEvent:
    """The event to make RUN_FAILURE of; a step failure's error begins with the reason.

    What was stored in the event log before stays as it is.
    """
    error = event.step_failure_data.error if event.is_step_failure else None
    if error is None:
        return event
    data = event.step_failure_data._replace(error=_reason_first(error))
    return event._replace(event_specific_data=data)


def present_error() -> SerializableErrorInfo:
    """The exception that is being handled."""
    return serializable_error_info_from_exc_info(sys.exc_info())


def run_failed(error: SerializableErrorInfo) -> DagsterUserCodeProcessError:
    """An exception of which Dagster shows just the reason, and the error as its cause."""
    return DagsterUserCodeProcessError.from_error_info(_reason_first(error))


def _reason_first(error: SerializableErrorInfo) -> SerializableErrorInfo:
    if error.cls_name == _CLASS:
        return error
    return SerializableErrorInfo(
        message=f"{root_of(error)}\n", stack=[], cls_name=_CLASS, cause=error
    )


_CLASS = "RunFailedError"
