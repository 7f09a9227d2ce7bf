"""`make`, as it is in a terminal, also when `make test` runs the test."""

from __future__ import annotations

import os
import subprocess

from wine_quality.paths import PROJECT_ROOT


def outside_make() -> dict[str, str]:
    """This process's variables without those by which one make tells another what it was given."""
    return {name: text for name, text in os.environ.items() if not name.startswith("MAKE")}


def dry_make(*arguments: str) -> subprocess.CompletedProcess[str]:
    """`make -n`: the commands that it would run."""
    return subprocess.run(
        ["make", "-n", *arguments],
        cwd=PROJECT_ROOT,
        env=outside_make(),
        capture_output=True,
        text=True,
        timeout=60,
    )
