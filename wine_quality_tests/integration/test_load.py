"""Many at once on real servers, and nothing lost; ``bench_load`` does more of each."""

from __future__ import annotations

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.load import ask_at_once, drain_queue

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RUNS, AT_ONCE = 12, 4
MOST_MIB = 600
"""A daemon and at most four code servers, of 110 MiB each; two were seen at once."""


def test_runs_queued_at_once(tmp_path, mlflow_server):
    """All end, each with one MLflow run and one version, and the services stay as small."""
    stack = DagsterStack(tmp_path / "platform")
    try:
        took = drain_queue(stack, mlflow_server(MLFLOW_VERSIONS["3"]), RUNS, "queued", 500)
    finally:
        stack.stop()
    assert 1 < took.most_at_once <= AT_ONCE
    assert max(took.mib) < MOST_MIB, took.mib


def test_clients_at_once(mlflow_server):
    assert ask_at_once(mlflow_server(MLFLOW_VERSIONS["3"]), 8, 10, "at-once") > 0
