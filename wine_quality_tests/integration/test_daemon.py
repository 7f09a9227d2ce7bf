"""The project's own command for Dagster's daemon, as a process."""

from __future__ import annotations

import signal
import sys

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.warm_commands import run_python
from wine_quality_tests.support.warm_programs import WarmProgram

pytestmark = pytest.mark.slow

MODULE = "wine_quality.dagster_support.daemon"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_runs_what_is_queued_and_ends_when_it_is_asked_to(tmp_path, number):
    stack = DagsterStack(tmp_path)
    log = tmp_path / "own.log"
    try:
        stack._processes.pop("daemon").kill()
        with log.open("wb") as out:
            own = WarmProgram(
                *(sys.executable, "-m", MODULE, "-w", str(stack._workspace)),
                env=stack.variables,
                cwd=PROJECT_ROOT,
                log=out,
            )
        run = stack.launch({"ops": {"raw_wine_csv": {"config": {"csv_url": "/nowhere.csv"}}}})
        await_condition(lambda: stack.status(run) == "FAILURE", "the run", 120)
        own.send_signal(number)
        assert own.wait(30) == 0, log.read_text()
        assert "SensorDaemon" in log.read_text()
        assert "Traceback" not in log.read_text()
    finally:
        stack.stop()


def test_a_workspace_is_asked_for():
    done = run_python(sys.executable, "-m", MODULE)
    assert done.returncode == 2
    assert "the following arguments are required: -w/--workspace" in done.stderr
