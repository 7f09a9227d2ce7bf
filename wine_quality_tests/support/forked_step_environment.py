"""For the fork server of ``forked_steps`` alone: its forks take their test's environment."""

import json
import os

from wine_quality_tests.support.forked_steps import environment_file

# The fork server is a child of the process that runs the tests.
_FILE = environment_file(os.getppid())
_SERVER = os.getpid()


def _take() -> None:
    if os.getppid() != _SERVER:  # a fork of a step has the step's
        return
    environment = json.loads(_FILE.read_text())
    for name in set(os.environ) - set(environment):
        del os.environ[name]
    os.environ.update(environment)


os.register_at_fork(after_in_child=_take)
