"""Servers of tests that were killed end, and their workers with them."""

from __future__ import annotations

import subprocess
import sys

import pytest

from wine_quality_tests.support.launched import is_running
from wine_quality_tests.support.servers import await_condition, dying_with_us, dying_with_us_all

TESTS = "import subprocess, sys; subprocess.Popen(sys.argv[1:], start_new_session=True).wait()"
SERVER = dying_with_us_all("sh", "-c", "sleep 600 & echo $!; wait")


def test_a_worker_ends_with_tests_that_are_killed():
    command = dying_with_us(sys.executable, "-c", TESTS, *SERVER)
    tests = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert tests.stdout is not None
    worker = int(tests.stdout.readline())
    assert is_running(worker)
    tests.kill()
    tests.wait()
    await_condition(lambda: not is_running(worker), "the worker to end", 20)
    tests.stdout.close()


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -KILL $$", 137)])
def test_the_exit_code_is_that_of_the_command(script, code):
    command = dying_with_us_all("sh", "-c", script)
    assert subprocess.run(command, start_new_session=True).returncode == code
