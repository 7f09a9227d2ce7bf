"""Why a run failed, as a person wants to read it: without wrappings and tracebacks."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from wine_quality.escaping import escaped_lines


def reasons_of(events: Iterable[Any]) -> list[str]:
    """One reason for each step that failed, or why no step began; ``events`` are DagsterEvents."""
    reasons = []
    for event in events:
        if event.is_step_failure:
            reasons.append(f"{event.step_key}: {root_of(event.step_failure_data.error)}")
        elif event.is_resource_init_failure:
            reasons.append(root_of(event.engine_event_data.error))
        elif event.is_job_failure and not reasons:
            # It comes last, and repeats what failed before it. It has no data where a worker's
            # death was reported.
            data = event.job_failure_data
            if data is not None and data.error:
                reasons.append(root_of(data.error))
    return list(dict.fromkeys(reasons))


def root_of(error: Any) -> str:
    """The message under Dagster's own wrappings, without the class of our own errors."""
    while error.cause is not None and (error.cls_name or "").startswith("Dagster"):
        error = error.cause
    message = re.sub(r"^((\w+\.)+\w+|ValueError): ", "", error.message.strip())
    return escaped_lines(message)
