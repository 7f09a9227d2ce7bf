"""Have Dagster try a step again when the MLflow server was away."""

from __future__ import annotations

from dagster import DagsterInvariantViolationError, OpExecutionContext, RetryRequested

RETRIES = 4
"""Times that a step is tried again. MLflow's client waits half a minute before it gives a step up,
that of 1.26 a minute: an outage of two minutes is outlived on every version."""

PAUSE_SECONDS = 5


def retry_request(reason: str) -> RetryRequested | None:
    """What the step is to raise, with ``reason`` in the run's log; None where it is to fail: it was
    tried often enough, retries are off, or no step is running."""
    try:
        context = OpExecutionContext.get()
    except DagsterInvariantViolationError:
        return None
    if context.get_step_execution_context().retry_mode.disabled or context.retry_number >= RETRIES:
        return None
    context.log.warning(f"{reason} The step is tried again in {PAUSE_SECONDS} s.")
    return RetryRequested(max_retries=RETRIES, seconds_to_wait=PAUSE_SECONDS)
