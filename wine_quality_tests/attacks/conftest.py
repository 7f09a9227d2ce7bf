"""The fronts, started when they are first attacked, and the table of what came of it."""

from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS
from wine_quality.paths import PACKAGED_RED_WINE
from wine_quality_tests.attacks.fronts import InContainers, LocalStack, Up
from wine_quality_tests.attacks.hand_made import Payload
from wine_quality_tests.attacks.listeners import ANYWHERE, HttpListener, PostgresListener
from wine_quality_tests.attacks.table import PICKLE, World
from wine_quality_tests.support.compose import why_not
from wine_quality_tests.support.servers import free_port

ALL = os.environ.get("WINE_QUALITY_ATTACKS") == "all"
NO_COMPOSE = why_not() if ALL else ""
FRONTS = ("up", "stack", *([] if NO_COMPOSE else ["compose"])) if ALL else ("up",)
VERSIONS = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
RESULTS = pytest.StashKey[dict[str, tuple[str, str]]]()


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Outcomes of attacks, and those that were not tried."""
    rows = []
    for report in (one for kind in terminalreporter.stats.values() for one in kind):
        text = dict(getattr(report, "user_properties", ()))
        if "attack" in text and report.when == "call":
            rows.append((text["attack"], text["front"], report.outcome, text.get("message", "")))
    if not rows:
        return
    terminalreporter.section("attacks")
    width = max(len(attack) for attack, *_ in rows)
    for attack, front, outcome, text in sorted(rows):
        verdict = {"passed": "held", "failed": "FELL"}.get(outcome, outcome)
        terminalreporter.write_line(f"{attack:<{width}}  {front:<7} {verdict:<5} {text[:140]}")
    if not ALL:
        line = "a part of them; `make attack` tries all, on the stack and in containers too"
        terminalreporter.write_line(line)
    elif NO_COMPOSE:
        terminalreporter.write_line(f"compose: not attacked, {NO_COMPOSE}")


@pytest.fixture(scope="package")
def world(tmp_path_factory) -> Iterator[World]:
    folder = tmp_path_factory.mktemp("attacker")
    for name in ("loot", "kept", "delivered"):
        (folder / name).mkdir()
    # Services that gave up root, PostgreSQL and the like, could write there too.
    (folder / "loot").chmod(0o777)
    (folder / "kept").chmod(0o777)
    (folder / "kept" / "file").write_text("stays")
    (folder / "delivered").chmod(0o755)
    (folder / "delivered" / PICKLE).write_bytes(pickle.dumps(Payload(folder / "loot" / "picked")))
    (folder / "delivered" / "linked.csv").symlink_to("/etc/passwd")
    address = ANYWHERE if "compose" in FRONTS else "127.0.0.1"
    made = World(
        http=HttpListener(address),
        postgres=PostgresListener(address),
        loot=folder / "loot",
        kept=folder / "kept",
        delivered=folder / "delivered",
        # Nobody listens: what is refused by its form need not be reached.
        mlflow=f"127.0.0.1:{free_port()}",
    )
    several = made.delivered / "several"
    several.mkdir()
    shutil.copy(PACKAGED_RED_WINE, several / "good.csv")
    shutil.copy(PACKAGED_RED_WINE, several / "evil\n\x1b[31mERROR forged\x1b[0m.csv")
    (several / "passwd.csv").symlink_to("/etc/passwd")
    yield made
    made.http.stop()
    made.postgres.stop()


@pytest.fixture(scope="package")
def up(tmp_path_factory, world) -> Iterator[Up]:
    running = Up(tmp_path_factory.mktemp("up") / "home", world.delivered)
    yield running
    running.stop()


@pytest.fixture(scope="package")
def stack(tmp_path_factory, world) -> Iterator[LocalStack]:
    versions = VERSIONS if ALL else [DEFAULT_VERSION]
    # Its processes that are not root must reach it.
    folder = tmp_path_factory.mktemp("stack")
    for parent in (folder, *folder.parents):
        if parent.owner() == folder.owner() and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o011)
    running = LocalStack(folder / "home", world.delivered, versions)
    yield running
    running.stop()


@pytest.fixture(scope="package")
def compose(tmp_path_factory, world) -> Iterator[InContainers]:
    running = InContainers(tmp_path_factory.mktemp("compose") / "home", world)
    yield running
    running.stop()
