"""The process of another version's environment, as its parent starts and ends it."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.plan_process import PlanProcess
from wine_quality_tests.support.servers import await_condition


@pytest.mark.slow
def test_it_is_interrupted_where_its_parent_ignores_interrupts():
    """As whatever a script starts with "&" does."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process = PlanProcess(MLFLOW_VERSIONS["3"])
    finally:
        signal.signal(signal.SIGINT, before)
    waits = Path(f"/proc/{process.pid}/wchan")
    await_condition(lambda: "pipe_read" in waits.read_text(), "it to wait for its plan", 60)
    process.interrupt()
    await_condition(process.has_ended, "its end", 30)
    assert process.describe_exit() == "exited with code 130"
