"""Commands that ask a registry run in the environment of the version that was picked."""

from __future__ import annotations

import os
import sys

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT


def reexec_in_environment(version: MlflowVersion) -> None:
    """Start this command anew in the version's environment, unless this is it already."""
    if version.is_resident:
        return
    python = str(version.python)
    environment = {**version.process_variables(), "PYTHONPATH": str(PROJECT_ROOT)}
    os.execve(python, [python, "-m", "wine_quality", *sys.argv[1:]], environment)
