"""Commands that run inside the platform's containers: ``make retention ON=compose``."""

from __future__ import annotations

import argparse
import subprocess
import sys

from wine_quality.stack.settings import StackError

_PASSED_ON = ("days", "experiment", "mlflow", "tracking_uri", "registry_uri")
_FLAGS = ("delete", "verbose")


def retention(options: argparse.Namespace) -> int:
    """Run it in the code location's container, where the servers' addresses and its keys are.

    Returns:
        Its exit code; 1 when there is no such container, 2 when an option has no place there.
    """
    from wine_quality.upkeep.containers import find_containers

    if options.config:
        print("error: --config names a file of this machine; give options instead", file=sys.stderr)
        return 2
    try:
        containers = find_containers(options.project)
        code = containers.of("dagster-code")
    except StackError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    # The image's entry point reads the container's secret files.
    command = [containers.engine, "exec", code, "/bin/sh", "/opt/with-secrets.sh"]
    command += ["python", "-m", "wine_quality", "retention", *_options(options)]
    return subprocess.run(command, stdin=subprocess.DEVNULL).returncode


def _options(options: argparse.Namespace) -> list[str]:
    given = [flag for flag in _FLAGS if getattr(options, flag)]
    arguments = [f"--{flag}" for flag in given]
    for name in _PASSED_ON:
        value = getattr(options, name)
        if value is not None:
            arguments += [f"--{name.replace('_', '-')}", str(value)]
    return arguments
