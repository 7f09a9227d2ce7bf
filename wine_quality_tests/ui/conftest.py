"""``make up`` as people start it, and Debian's Chromium to look at it."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.notice_servers import SlackStandIn
from wine_quality_tests.support.servers import await_condition, free_port
from wine_quality_tests.support.warm_programs import WarmProgram

CHROMIUM_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
# What MLflow 3's UI remembers once its assistant was closed and "Model training" was picked.
MLFLOW_SEEN_BEFORE = """
localStorage.setItem("mlflow.assistant.fab.autoOpenedOnFirstLoad_v1", "true");
localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');
"""
SCREENSHOTS = os.environ.get("WINE_QUALITY_SCREENSHOTS")
SIZE = {"width": 1400, "height": 900}
READY_SECONDS = 120


@pytest.fixture(scope="session")
def chromium() -> str:
    """The browser's path; in CI it has to be there."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    if found is None:
        reason = "no Chromium on this machine (Debian: apt-get install chromium)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


@dataclass(frozen=True)
class Up:
    """Both UIs of a running ``make up``."""

    dagster: str
    mlflow: str
    home: Path
    watched: Path
    process: WarmProgram
    log: Path
    slack: SlackStandIn


@pytest.fixture(scope="module")
def home(tmp_path_factory) -> Path:
    """Where ``make up`` starts; a module that needs one with runs in it has its own."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def up(chromium, postgres, home, tmp_path_factory) -> Iterator[Up]:
    folder = tmp_path_factory.mktemp("up")
    ports = free_port(), free_port()
    watched = folder / "arriving"
    watched.mkdir()
    slack = SlackStandIn()
    environment = {
        **os.environ,
        "WINE_QUALITY_HOME": str(home),
        "WINE_QUALITY_METRICS_URL": postgres.url(postgres.create_database()),
        "WINE_QUALITY_WATCH_PLACE": str(watched),
        "WINE_QUALITY_WATCH_INTERVAL_SECONDS": "5",
        "WINE_QUALITY_WATCH_SETTLE_SECONDS": "0.5",
        "WINE_QUALITY_WATCH_ALPHA": "0.001",
        "WINE_QUALITY_WATCH_L1_RATIO": "0.2",
        **slack.variables(),
        "WINE_QUALITY_NOTIFY": "log,slack",
    }
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI"):
        environment.pop(name, None)
    log = folder / "log"
    command = ["-m", "wine_quality", "up"]
    command += ["--port", str(ports[0]), "--mlflow-port", str(ports[1])]
    with log.open("wb") as out:
        process = WarmProgram(sys.executable, *command, env=environment, cwd=PROJECT_ROOT, log=out)
    urls = [f"http://localhost:{port}" for port in ports]
    try:
        await_condition(
            lambda: process.poll() is not None or "Ready" in log.read_text(), "it", READY_SECONDS
        )
        assert process.poll() is None, log.read_text()[-3000:]
        yield Up(urls[0], urls[1], home, watched, process, log, slack)
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGINT)
            process.wait(60)
        slack.stop()


@pytest.fixture(scope="module")
def page(chromium):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_FLAGS)
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(60_000)
        page.add_init_script(MLFLOW_SEEN_BEFORE)
        yield page
        browser.close()


@pytest.fixture
def screenshot(page, tmp_path):
    """Saves what the page shows; into the README's folder when ``make screenshots`` asks."""
    folder = Path(SCREENSHOTS) if SCREENSHOTS else tmp_path

    def save(name: str, shown=page) -> None:
        # What is still loading or fading in would make every picture another one.
        shown.wait_for_timeout(1500 if SCREENSHOTS else 0)
        shown.screenshot(path=str(folder / f"{name}.png"))

    return save
