"""Runs launched on a real server, each under names of its own."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import MlflowServer

RMSE = 0.7931640229276851
AT_LOGGING = r"/runs/log-(metric|batch)"


class Tracked:
    """One experiment and model name of a test, on the real server behind a proxy."""

    def __init__(self, key: str, server: MlflowServer, proxy: FaultProxy) -> None:
        self.key, self.server, self.proxy = key, server, proxy
        self.name = f"launched-{uuid.uuid4().hex[:8]}"

    def config(self, **mlflow: Any) -> dict[str, Any]:
        fields = {
            "version": self.key,
            "tracking_uri": self.proxy.uri,
            "experiment_name": self.name,
            "registered_model_name": self.name,
        }
        return {"resources": {"mlflow": {"config": {**fields, **mlflow}}}}

    @property
    def statuses(self) -> list[str]:
        return self.server.statuses(self.name)

    @property
    def versions(self) -> int:
        return len(self.server.versions(self.name))

    def rmse(self) -> float:
        [run] = self.server.runs(self.name)
        [metric] = [m for m in run["data"]["metrics"] if m["key"] == "rmse"]
        return metric["value"]


def assert_success(dagster: DagsterStack, tracked: Tracked, run: str) -> None:
    assert dagster.wait(run) == "SUCCESS", dagster.messages(run)
    assert tracked.statuses == ["FINISHED"]
    assert tracked.rmse() == pytest.approx(RMSE, abs=1e-12)
    assert tracked.versions == 1


def is_running(pid: int) -> bool:
    """False for a zombie too: in a container nobody may be there to reap it."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state not in "ZX"


def children_of(pid: int) -> list[int]:
    return [int(p) for p in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


@contextmanager
def tracked_through_proxy(key: str, server: MlflowServer) -> Iterator[Tracked]:
    """Runs of a version, tracked on its server through a proxy that can hold them up."""
    proxy = FaultProxy(server.uri)
    yield Tracked(key, server, proxy)
    proxy.stop()
