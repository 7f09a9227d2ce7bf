"""Forks a module over ``warm_project`` in a version's own environment, and reads what it says."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support import warm_commands
from wine_quality_tests.support.servers import dying_with_us

KILL_HOOK = PROJECT_ROOT / "wine_quality_tests" / "faults" / "kill_hook"


def warm_process(
    version: MlflowVersion,
    module: str,
    folder: Path,
    *arguments: str,
    seconds: float = 300,
    kills: bool = False,
    each: Callable[[list[dict[str, Any]]], None] | None = None,
) -> list[dict[str, Any]]:
    """The lines of JSON that ``python -m wine_quality_tests.faults.MODULE FOLDER …`` prints.

    Args:
        version: In whose environment it runs.
        folder: For its homes, and what its runs print.
        seconds: How long it may take.
        kills: It is to kill its runs, by ``kill_hook``.
        each: Called after each line with all so far.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "process.log"
    module = f"wine_quality_tests.faults.{module}"
    command = warm_commands.forked_command(
        *("-W", "ignore", "-m", module, str(folder), *arguments), python=version.require_python()
    )
    path = str(PROJECT_ROOT)
    variables = {}
    if kills:
        path += f":{KILL_HOOK}"
        variables["WINE_QUALITY_TESTS_KILL"] = str(folder)
    with log.open("ab") as errors:
        process = subprocess.Popen(
            dying_with_us(*command),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=PROJECT_ROOT,
            env={
                **version.process_variables(),
                **variables,
                "PYTHONPATH": path,
                "WINE_QUALITY_ALLOWED_TRACKING_URIS": "*",
            },
        )
    late = threading.Timer(seconds, process.kill)
    late.start()
    messages: list[dict[str, Any]] = []
    try:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("{"):
                messages.append(json.loads(line))
                if each is not None:
                    each(messages)
        assert process.wait() == 0, log.read_text()[-5000:]
    finally:
        late.cancel()
        process.kill()
        process.wait()
    return messages
