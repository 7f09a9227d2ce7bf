"""``make bench``: how soon the stack is ready, and what it takes while nobody uses it.

Seconds from the command to "ready", first on an empty home and then again; memory as the sum of
the proportional set sizes of all its processes (shared pages are counted once), in MiB.
"""

from __future__ import annotations

import argparse
import os
import re
import tempfile
import time
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.stack_client import Stack, descendants

READY_TARGET = 60.0
_SETTLE_SECONDS = 15


def proportional_mib(pid: int) -> float:
    """A process's own memory and its share of what it shares; 0 when it has ended."""
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return 0.0
    found = re.search(r"^Pss: +(\d+) kB", text, re.MULTILINE)
    return int(found[1]) / 1024 if found else 0.0


def measure(versions: list[str], home: Path) -> None:
    """Print the figures of a stack with the MLflow servers of ``versions``."""
    stack = Stack(home, versions)
    for occasion in ("first start", "started again"):
        began = time.monotonic()
        stack.up()
        seconds = time.monotonic() - began
        try:
            verdict = "met" if seconds <= READY_TARGET else "MISSED"
            print(
                f"stack with MLflow {', '.join(versions)}: {occasion}, ready in {seconds:.0f} s "
                f"(target {READY_TARGET:g}: {verdict})",
                flush=True,
            )
            if occasion == "started again":
                time.sleep(_SETTLE_SECONDS)  # imports that follow the first requests
                report_memory(stack)
        finally:
            stack.down()


def report_memory(stack: Stack) -> None:
    total = 0.0
    parts = {}
    for name, service in stack.services.items():
        pids = [service["pid"], *descendants(service["pid"])]
        parts[name] = sum(map(proportional_mib, pids))
    everything = [stack.state["pid"], *descendants(stack.state["pid"])]
    total = sum(map(proportional_mib, everything))
    parts["supervisor"] = total - sum(parts.values())
    print(f"idle memory: {total:.0f} MiB in {len(everything)} processes")
    print("  " + ", ".join(f"{name} {mib:.0f}" for name, mib in parts.items()), flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--versions", nargs="+", help="MLflow servers (3 alone, then all)")
    options = parser.parse_args()
    for versions in [options.versions] if options.versions else [["3"], list(MLFLOW_VERSIONS)]:
        with tempfile.TemporaryDirectory(prefix="wine-quality-stack-") as folder:
            os.chmod(folder, 0o755)  # root's PostgreSQL is another user
            measure(versions, Path(folder))


if __name__ == "__main__":
    main()
