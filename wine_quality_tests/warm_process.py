"""Starts a module over ``warm_project`` in a version's own environment, and reads what it says."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from wine_quality.environments.versions import PROJECT_ROOT, MlflowVersion
from wine_quality_tests.servers import dying_with_us

KILL_HOOK = PROJECT_ROOT / "wine_quality_tests" / "kill_hook"


def warm_process(
    version: MlflowVersion, module: str, folder: Path, *arguments: str, seconds: float = 300
) -> list[dict[str, Any]]:
    """The lines of JSON that ``python -m wine_quality_tests.MODULE FOLDER …`` prints.

    Args:
        version: In whose environment it runs.
        folder: For its homes, and what its runs print.
        seconds: How long it may take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    log = folder / "process.log"
    with log.open("ab") as errors:
        done = subprocess.run(
            dying_with_us(
                str(version.require_python()),
                *("-W", "ignore", "-m", f"wine_quality_tests.{module}"),
                *(str(folder), *arguments),
            ),
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            cwd=PROJECT_ROOT,
            env={
                **version.process_variables(),
                "PYTHONPATH": f"{PROJECT_ROOT}:{KILL_HOOK}",
                "WINE_QUALITY_TESTS_KILL": str(folder),
                "WINE_QUALITY_ALLOWED_TRACKING_URIS": "*",
            },
            timeout=seconds,
        )
    assert done.returncode == 0, log.read_text()[-5000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
