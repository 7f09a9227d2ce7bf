"""Steps of Dagster's multi-process executor, each in a fork of one process with the libraries.

Python starts that process, the fork server, once in a process of tests, and its forks have the
environment that it was started with: that of the first test. So each job leaves the environment of
its own test in a file, and each fork takes it from there (``forked_step_environment``).
"""

from __future__ import annotations

import json
import multiprocessing
import os
from pathlib import Path

from wine_quality_tests.support import warm_commands

IN_FORKS = "wine_quality_tests.support.forked_step_environment"


def forked_steps() -> dict[str, dict[str, list[str]]]:
    """``start_method`` of Dagster's multi-process executor. Ask for it where the job is made, in
    the environment that its steps are to have."""
    if multiprocessing.parent_process() is None:  # a step's process makes the job once more
        environment_file(os.getpid()).write_text(json.dumps(dict(os.environ)))
    modules = [*warm_commands.modules_of_a_command(), IN_FORKS]
    return {"forkserver": {"preload_modules": modules}}


def environment_file(pid: int) -> Path:
    """Of the steps of the jobs that this process of tests starts."""
    return warm_commands.sockets() / f"steps-of-{pid}.json"
