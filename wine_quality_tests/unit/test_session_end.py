"""Tests that are killed leave no process."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

from wine_quality_tests.support import session_end
from wine_quality_tests.support.servers import await_condition, dying_with_us

# As an MLflow server: a process of the tests', and a worker of that in a session of its own.
SERVER = "import subprocess; subprocess.Popen(['sleep', '600'], start_new_session=True).wait()"
TESTS = f"""
import os, subprocess, sys, time
from wine_quality_tests.support.session_end import watch
watch(os.getpid())
subprocess.Popen([sys.executable, "-c", {SERVER!r}])
print("started", flush=True)
time.sleep(600)
"""


def test_what_killed_tests_had_started_ends(tmp_path):
    environment = {n: v for n, v in os.environ.items() if n != session_end.MARK}
    tests = subprocess.Popen(
        dying_with_us(sys.executable, "-c", TESTS),
        stdout=subprocess.PIPE,
        env={**environment, "PYTHONPATH": os.getcwd()},
    )
    assert tests.stdout is not None and tests.stdout.readline() == b"started\n"
    await_condition(lambda: len(session_end.marked(tests.pid)) == 2, "server and worker", 30)
    tests.send_signal(signal.SIGKILL)
    tests.wait()
    await_condition(lambda: not session_end.marked(tests.pid), "the end of both", 30)
