"""Retries for when the MLflow server was away: steps are tried again by Dagster, the opening of the
MLflow run, which is not a step, here."""

from __future__ import annotations

import time
from collections.abc import Callable

from dagster import DagsterInvariantViolationError, OpExecutionContext, RetryRequested

from wine_quality.tracking.servers.failures import failure_of
from wine_quality.tracking.servers.patience import fewer_retries_of_client

RETRIES = 4
"""Times that a step is tried again. MLflow's client waits half a minute before it gives a step up,
that of 1.26 a minute: an outage of two minutes is outlived on every version."""

PAUSE_SECONDS = 5


def retry_request(reason: str) -> RetryRequested | None:
    """The exception by which the step is tried again, with ``reason`` in the run's log; None where
    the step fails: it was tried ``RETRIES`` times, retries are off, or no step is running."""
    try:
        context = OpExecutionContext.get()
    except DagsterInvariantViolationError:
        return None
    if context.get_step_execution_context().retry_mode.disabled or context.retry_number >= RETRIES:
        return None
    context.log.warning(f"{reason} The step is tried again in {PAUSE_SECONDS} s.")
    return RetryRequested(max_retries=RETRIES, seconds_to_wait=PAUSE_SECONDS)


def retry_while_unavailable(act: Callable[[], None], say: Callable[[str], None]) -> None:
    """Act, and as often again as a step would be.

    Args:
        act: May be done twice.

    Raises:
        Exception: what ``act`` raised: at last, or where the server was not away.
    """
    for left in reversed(range(RETRIES + 1)):
        try:
            with fewer_retries_of_client():
                return act()
        except Exception as error:
            failure = failure_of(error)
            if not left or failure is None or not failure.is_passing:
                raise
            say(
                f"The MLflow run is not open: the server failed meanwhile ({failure.reason}). It "
                f"is tried again in {PAUSE_SECONDS} s."
            )
            time.sleep(PAUSE_SECONDS)
