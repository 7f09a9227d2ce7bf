"""Launches runs beside the code server, and notices when they die with it.

Dagster's own launcher leaves it to the code server to say that a run's process has died. When the
code server itself is killed nobody says so, and its runs would stay STARTED, and their MLflow runs
RUNNING, for ever.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from dagster import DefaultRunLauncher

from wine_quality.environments.dagster_private import (
    GRPC_INFO_TAG,
    CanCancelExecutionRequest,
    CanCancelExecutionResult,
    CheckRunHealthResult,
    ConfigurableClassData,
    DagsterGrpcClient,
    DagsterUserCodeUnreachableError,
    WorkerStatus,
    deserialize_value,
)

if TYPE_CHECKING:
    from dagster import DagsterRun

_ANSWER_SECONDS = 10
SILENT_SECONDS = 300.0
"""So long a code server may be silent before its runs count as dead: it may only be busy, or cut
off, while they go on."""


class WatchedRunLauncher(DefaultRunLauncher):
    """Dagster's ``DefaultRunLauncher``, whose runs ``run_monitoring`` can ask after.

    ``run_launcher: {module: wine_quality.environments.run_launcher, class: WatchedRunLauncher}``
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        super().__init__(inst_data)
        self._silent_since: dict[str, float] = {}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]
    ) -> WatchedRunLauncher:
        return cls(inst_data)

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Ask the code server that started the run whether it still has its process."""
        server = json.loads(run.tags.get(GRPC_INFO_TAG, "{}"))
        if not server:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        place = f"{server.get('host')}:{server.get('port') or server.get('socket')}"
        try:
            knows = _knows(server, run.run_id)
        except DagsterUserCodeUnreachableError:
            return self._silent(place)
        self._silent_since.pop(place, None)
        # It is told of a termination by then, and ends the run itself.
        if knows:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND,
            f"the run worker is gone: the code server at {place} was started anew and its runs "
            "died with the one before. Re-execute the run from failure.",
        )

    def _silent(self, place: str) -> CheckRunHealthResult:
        since = self._silent_since.setdefault(place, time.monotonic())
        if time.monotonic() - since < SILENT_SECONDS:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(
            WorkerStatus.UNKNOWN,
            f"the code server at {place}, which started the run worker, has given no answer for "
            f"{SILENT_SECONDS:.0f} s. Start it, then re-execute the run from failure.",
        )


def _knows(server: Mapping[str, Any], run_id: str) -> bool:
    """Whether the code server has a process of this run that it was not told to end."""
    client = DagsterGrpcClient(
        host=server["host"],
        port=server.get("port"),
        socket=server.get("socket"),
        use_ssl=bool(server.get("use_ssl")),
    )
    answer = client.can_cancel_execution(
        CanCancelExecutionRequest(run_id=run_id), timeout=_ANSWER_SECONDS
    )
    return deserialize_value(answer, CanCancelExecutionResult).can_cancel
