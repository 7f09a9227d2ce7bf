"""Warm processes that cannot start, that are idle, and whose launcher is gone: a Dagster each."""

from __future__ import annotations

import os
import signal
from typing import Any

import pytest

from wine_quality.execution.worker_process import WorkerProcess
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]


def config() -> dict[str, Any]:
    return {"resources": {"mlflow": {"config": {"version": "3"}}}}


def test_a_broken_warm_process_costs_time_and_no_run(tmp_path, monkeypatch):
    """Its folder cannot be used: the run says so, and starts as with Dagster's launcher."""
    stack = DagsterStack(tmp_path)
    try:
        (stack.dagster_home / "warm").write_text("in the way")
        run = stack.launch(config())
        assert stack.wait(run) == "SUCCESS", stack.messages(run)
        [text] = [line for line in stack.messages(run) if "starts more slowly" in line]
        assert "warm" in text
    finally:
        stack.stop()


def test_memory_is_given_back_when_idle_and_limits_hold_in_a_fork(tmp_path):
    stack = DagsterStack(tmp_path, WINE_QUALITY_WARM_MINUTES="0.05")
    try:
        run = stack.launch(config())
        assert stack.wait(run) == "SUCCESS", stack.messages(run)
        await_condition(lambda: stack.warm.pids() == {}, "the warm process to end", 30)
    finally:
        stack.stop()
    assert not any(stack.warm._processes())


def test_warm_processes_end_with_whoever_launches(tmp_path):
    stack = DagsterStack(tmp_path)
    try:
        assert stack.wait(stack.launch(config())) == "SUCCESS"
        [pid] = stack.warm.pids().values()
        warm = WorkerProcess.of(pid)
        assert warm is not None
        os.kill(stack.pid("daemon"), signal.SIGKILL)
        await_condition(lambda: not warm.is_running(), "the warm process to end", 20)
    finally:
        stack.stop()
