"""The platform in containers, started once, and a table of what came of it (`make containers`)."""

from __future__ import annotations

import os
import platform as machine
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS
from wine_quality_tests.support import images
from wine_quality_tests.support.canaries import MARK, canaries
from wine_quality_tests.support.compose import Compose, engine
from wine_quality_tests.support.images import Image

# "all", or MLflow versions with commas; the default version is always among them.
WANTED = os.environ.get("WINE_QUALITY_CONTAINERS", "")
VERSIONS = [
    key
    for key in MLFLOW_VERSIONS
    if WANTED in ("", "all") or key == DEFAULT_VERSION or key in WANTED.split(",")
]
_TIMESCALE = "docker.io/timescale/timescaledb:2.29.2-pg17"


def why_not() -> str:
    """Why the platform cannot be built and started in containers here; empty when it can be."""
    if not WANTED:
        return "`make containers` runs it"
    name = engine()
    if name is None:
        return "no container engine answers here"
    bases = [images.DAGSTER.base()[1], images.PROXY.base()[1], _TIMESCALE]
    missing = [base for base in bases if not images.can_have(name, base)]
    if missing:
        return f"{name} neither has nor can pull {', '.join(missing)}"
    return ""


NOT_HERE = why_not()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each check: what was done, whether it held, and what was seen."""
    if not WANTED:
        return
    terminalreporter.section("the platform in containers")
    if NOT_HERE:
        terminalreporter.write_line(f"not run: {NOT_HERE}")
        terminalreporter.write_line(
            "skipped: building the images, the job in containers, killed services, down and up, "
            "backup and restore, the search for secrets"
        )
        return
    name = engine() or ""
    asked = subprocess.run([name, "--version"], capture_output=True, text=True)
    terminalreporter.write_line(f"{asked.stdout.strip()} on {machine.platform()}")
    for report in (one for kind in terminalreporter.stats.values() for one in kind):
        message = dict(getattr(report, "user_properties", ()))
        if "check" in message and report.when == "call":
            verdict = {"passed": "held", "failed": "FELL"}.get(report.outcome, report.outcome)
            seen = f"{message.get('seen', '')} ({report.duration:.0f} s)"
            terminalreporter.write_line(f"{message['check']:<48}  {verdict}  {seen}")


@pytest.fixture
def see(request):
    """Says in the table what a test checks, and what it saw."""

    def note(check: str, seen: object) -> None:
        request.node.user_properties += [("check", check), ("seen", str(seen))]

    return note


@pytest.fixture(scope="package")
def checkout(tmp_path_factory) -> Path:
    """A copy of this one with secrets in it, which images are built from."""
    return images.context_with_secrets(tmp_path_factory.mktemp("checkout"), MARK)


@pytest.fixture(scope="package")
def built(checkout) -> dict[Image, float]:
    """Each image, and the seconds that building it took: few where the engine has its layers."""
    name = engine() or "podman"
    store = images.MINIO if images.can_have(name, images.MINIO.base()[1]) else images.SEAWEEDFS
    wanted = [images.DAGSTER, images.PROXY, store, *(images.MLFLOW[key] for key in VERSIONS)]
    return {image: images.build(name, image, checkout) for image in wanted}


@pytest.fixture(scope="package")
def platform(tmp_path_factory, built) -> Iterator[Compose]:
    """Up and ready, on empty volumes, with recognizable secrets; its volumes go at the end."""
    folder = tmp_path_factory.mktemp("containers")
    started = Compose(folder / "compose", f"wq{os.getpid()}", tuple(VERSIONS), **canaries())
    try:
        started.up()
        yield started
    finally:
        started.stop()
