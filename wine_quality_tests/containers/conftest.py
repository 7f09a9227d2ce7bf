"""The platform in containers, started once, and a table of what came of it (`make containers`)."""

from __future__ import annotations

import os
import platform as machine
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS
from wine_quality_tests.support.canaries import canaries
from wine_quality_tests.support.compose import (
    Compose,
    engine,
    is_built,
    why_not,
    with_code_of_this_checkout,
)

# "all", or MLflow versions with commas.
WANTED = os.environ.get("WINE_QUALITY_CONTAINERS", "")
NOT_HERE = why_not() if WANTED else "`make containers` runs it"
_OF_THE_IMAGE = ("dagster-code", "dagster-webserver", "dagster-daemon")


def versions_built() -> list[str]:
    """MLflow versions that are wanted and whose server's image is here."""
    name = engine() if WANTED else None
    wanted = list(MLFLOW_VERSIONS) if WANTED == "all" else WANTED.split(",")
    image = "localhost/wine-quality-mlflow:{}".format
    built = [key for key in MLFLOW_VERSIONS if name and is_built(name, image(key))]
    return [key for key in built if key in wanted] or [DEFAULT_VERSION]


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """A line for each check: what was done, whether it held, and what was seen."""
    if not WANTED:
        return
    terminalreporter.section("the platform in containers")
    if NOT_HERE:
        terminalreporter.write_line(f"not run: {NOT_HERE}")
        return
    name = engine() or ""
    asked = subprocess.run([name, "--version"], capture_output=True, text=True)
    terminalreporter.write_line(f"{asked.stdout.strip()} on {machine.platform()}")
    for report in (one for kind in terminalreporter.stats.values() for one in kind):
        said = dict(getattr(report, "user_properties", ()))
        if "check" in said and report.when == "call":
            verdict = {"passed": "held", "failed": "FELL"}.get(report.outcome, report.outcome)
            seen = f"{said.get('seen', '')} ({report.duration:.0f} s)"
            terminalreporter.write_line(f"{said['check']:<48}  {verdict}  {seen}")


@pytest.fixture(scope="package")
def platform(tmp_path_factory) -> Iterator[Compose]:
    """Up and ready, on empty volumes, with recognizable secrets; its volumes go at the end."""
    if NOT_HERE:
        pytest.skip(NOT_HERE)
    folder = tmp_path_factory.mktemp("containers")
    (folder / "image").mkdir()
    name = with_code_of_this_checkout(engine() or "podman", folder / "image")
    own = {"services": {service: {"image": name} for service in _OF_THE_IMAGE}}
    versions = tuple(versions_built())
    started = Compose(folder / "compose", f"wq{os.getpid()}", versions, own, **canaries())
    try:
        started.up()
        yield started
    finally:
        started.stop()
