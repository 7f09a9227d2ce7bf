"""Steps of Dagster's multi-process executor that are forked: the environment of their own test."""

from __future__ import annotations

import subprocess
import sys

# In a process of its own: Python has one fork server for each.
TWO_TESTS = """
import multiprocessing, os
from wine_quality_tests.support.forked_steps import forked_steps

context = multiprocessing.get_context("forkserver")
os.environ["LEFT_BY_THE_FIRST"] = "it"
for test in ("first", "second"):
    os.environ["TEST"] = test
    modules = forked_steps()["forkserver"]["preload_modules"]
    # The last alone: not the libraries.
    context.set_forkserver_preload(modules[-1:])
    with context.Pool(1) as step:
        print(*step.map(os.getenv, ["TEST", "LEFT_BY_THE_FIRST"]))
    os.environ.pop("LEFT_BY_THE_FIRST", None)
"""


def test_forked_steps_have_the_environment_of_their_own_test():
    """Not that of the test that started the fork server."""
    said = subprocess.run(
        [sys.executable, "-c", TWO_TESTS], capture_output=True, text=True, timeout=60, check=True
    )
    assert said.stdout.splitlines() == ["first it", "second None"]
