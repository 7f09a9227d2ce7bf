"""``python -m wine_quality.stack.watchdog STATE``: waits for the end of its standard input, which
is that of the supervisor, and ends what is left of the services then."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path

from wine_quality.execution.warm_client import WarmServers
from wine_quality.stack.processes import stop_groups
from wine_quality.stack.supervisor import groups_in


def main(state: Path) -> int:
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    while os.read(0, 1):
        pass
    try:
        left = json.loads(state.read_text())
    except FileNotFoundError:
        return 0  # all was stopped in order
    stop_groups(groups_in(left))
    if "dagster_home" in left:
        WarmServers.of_home(Path(left["dagster_home"])).stop(grace_seconds=0)
    for folder in left.get("temporary", []):
        shutil.rmtree(folder, ignore_errors=True)
    state.unlink(missing_ok=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
