"""Where the project's own files and everything local live. Standard library only."""

from __future__ import annotations

import json
import os
from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[1]
PACKAGED_RED_WINE = Path(__file__).with_name("datasets") / "winequality-red.csv"


def home() -> Path:
    """``$WINE_QUALITY_HOME``, else ``.wine_quality`` in the project."""
    return Path(os.environ.get("WINE_QUALITY_HOME") or PROJECT_ROOT / ".wine_quality").resolve()


def embedded_store(key: str) -> Path:
    """The folder of a version's embedded store; their database schemas differ, so one each."""
    return home() / f"mlflow-{key}"


def deployments(configured: str = "") -> str:
    """``configured``, else ``$WINE_QUALITY_DEPLOYMENTS``, else beside ``$WINE_QUALITY_ASSETS``,
    else in ``$WINE_QUALITY_HOME``."""
    found = configured or os.environ.get("WINE_QUALITY_DEPLOYMENTS", "")
    if found:
        return found.rstrip("/")
    assets = os.environ.get("WINE_QUALITY_ASSETS", "").rstrip("/")
    parent, slash, _ = assets.rpartition("/")
    return f"{parent}/deployments" if slash and parent else str(home() / "deployments")


def dagster_home() -> Path:
    """The Dagster instance folder, its ``dagster.yaml`` linked to the project's."""
    folder = home() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(PROJECT_ROOT / "dagster.yaml")
    return folder


def up_state() -> Path:
    """Where `make up` over this home notes its addresses and processes while it runs."""
    return home() / "up" / "state.json"


def running_ui() -> str | None:
    """The Dagster UI's address of the `make up` that runs over this home."""
    try:
        state = json.loads(up_state().read_text())
        os.kill(state["pid"], 0)  # what a machine that went down left is not removed
        return str(state["dagster"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def dagster_home_in_use() -> Path:
    """``$DAGSTER_HOME``, else the one in ``home()``."""
    configured = os.environ.get("DAGSTER_HOME")
    return Path(configured) if configured else dagster_home()
