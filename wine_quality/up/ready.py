"""Readiness of a Dagster that has just been started."""

from __future__ import annotations

from collections.abc import Callable

from wine_quality.stack.service import graphql_answers

_DAEMONS = """{ instance { daemonHealth { allDaemonStatuses {
    required healthy lastHeartbeatTime } } } }"""


def daemon_ready_since(url: str, began: float) -> Callable[[], bool]:
    """Ready when every daemon needed is healthy, and was seen after ``began`` (Unix time): those of
    the last time count as healthy for five minutes after their end."""

    def all_seen(data: dict) -> bool:
        statuses = data["instance"]["daemonHealth"]["allDaemonStatuses"]
        needed = [status for status in statuses if status["required"]]
        return bool(needed) and all(
            status["healthy"] and (status["lastHeartbeatTime"] or 0) > began for status in needed
        )

    return graphql_answers(url, _DAEMONS, all_seen)
