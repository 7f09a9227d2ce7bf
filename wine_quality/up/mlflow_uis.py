"""The MLflow UIs of all versions, side by side."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from pathlib import Path

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import home
from wine_quality.up.mlflow_ui import MlflowUi
from wine_quality.up.processes import Process
from wine_quality.webserver.guard import allowed_hosts


class MlflowUis:
    """
    Args:
        listening: The socket of each version that people reach.
        sockets: A folder that only this user may enter.
        dagster: Where the Dagster UI is.
    """

    def __init__(self, listening: Mapping[str, socket.socket], sockets: Path, dagster: str) -> None:
        self._changed: Callable[[], None] = lambda: None
        logs = home() / "up"
        logs.mkdir(parents=True, exist_ok=True)
        self._uis = {
            key: MlflowUi(
                MLFLOW_VERSIONS[key],
                one,
                sockets,
                logs / f"mlflow-{key}.log",
                allowed_hosts(),
                dagster,
                lambda: self._changed(),
            )
            for key, one in listening.items()
        }

    @staticmethod
    def others(first: str) -> list[str]:
        """The versions after the first, the newest of them first."""
        return [key for key in reversed(list(MLFLOW_VERSIONS)) if key != first]

    @property
    def urls(self) -> dict[str, str]:
        """URL of each UI by version, the first one first."""
        return {key: ui.url for key, ui in self._uis.items()}

    def processes(self) -> list[Process]:
        """The servers that run now."""
        return [ui.process for ui in self._uis.values() if ui.process is not None]

    async def serve(self, changed: Callable[[], None]) -> None:
        """Answer until cancelled; ``changed`` is called when a server has started or ended."""
        self._changed = changed
        await asyncio.gather(*(ui.serve() for ui in self._uis.values()))

    async def stop(self) -> None:
        await asyncio.gather(*(ui.stop() for ui in self._uis.values()))
