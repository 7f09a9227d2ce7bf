"""Where everything local lives."""

from __future__ import annotations

import os
from pathlib import Path

from wine_quality.environments.versions import PROJECT_ROOT


def home() -> Path:
    """``$WINE_QUALITY_HOME``, else ``.wine_quality`` in the project."""
    return Path(os.environ.get("WINE_QUALITY_HOME") or PROJECT_ROOT / ".wine_quality").resolve()


def embedded_store(key: str) -> Path:
    """The folder of a version's embedded store; their database schemas differ, so one each."""
    return home() / f"mlflow-{key}"


def dagster_home() -> Path:
    """The Dagster instance folder, its ``dagster.yaml`` linked to the project's."""
    folder = home() / "dagster"
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / "dagster.yaml"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(PROJECT_ROOT / "dagster.yaml")
    return folder
