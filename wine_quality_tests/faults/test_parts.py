"""Parts of two trainings, materialized one by one: a step that is given both stops and names both.

What comes of each order is held against the rule in ``part_rule``. All of them:
``make orders``, which writes ``docs/part-orders.md``.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.part_tables import order_table
from wine_quality_tests.support.warm_process import warm_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CROWNED_BY_ANOTHER = "model;champion"
ORDERS = [
    CROWNED_BY_ANOTHER,
    "model;registered",
    "model,champion",
    "model,registered,champion",
    "split;metrics",
    "split;champion",
    "split;registered,champion",
    "metrics,registered,champion",
    "model;metrics;champion",
    "model;metrics,registered,champion",
]
OF_OTHER_VERSIONS = [CROWNED_BY_ANOTHER, "model,registered", "model,metrics,registered,champion"]
OTHER_WAYS = ["model;champion", "split;metrics", "split,model,metrics,registered,champion"]
RESULTS = "WINE_QUALITY_TABLES"
"""Folder for the whole tables, which are made when it is set."""


def assert_by_the_rule(came: list[dict], orders: list[str]) -> None:
    assert [one["order"] for one in came] == orders
    assert {one["order"]: one["broken"] for one in came if one["broken"]} == {}


def test_orders_of_parts(home, mlflow_version, mlflow_server, tmp_path: Path):
    orders = ORDERS if mlflow_version.key == "3" else OF_OTHER_VERSIONS
    uri = mlflow_server(mlflow_version).uri
    given = (mlflow_version.key, uri, "in_memory", *orders)
    came = warm_process(mlflow_version, "part_orders", tmp_path / mlflow_version.key, *given)
    assert_by_the_rule(came, orders)
    text = came[0]["failed"]["champion_model"]
    assert "registered_model and elasticnet_model are of two trainings" in text
    assert text.count("MLflow run ") == 2
    assert "Materialize evaluation_metrics and registered_model again" in text


@pytest.mark.parametrize("way", ["streamed", "in_memory-accumulated", "streamed-accumulated"])
def test_orders_of_parts_of_other_ways_to_read(home, way, mlflow_server, tmp_path: Path):
    version = MLFLOW_VERSIONS["3"]
    given = (version.key, mlflow_server(version).uri, way, *OTHER_WAYS)
    assert_by_the_rule(warm_process(version, "part_orders", tmp_path / way, *given), OTHER_WAYS)


def test_values_of_an_older_checkout_and_a_sweep(home, mlflow_server, tmp_path: Path):
    version = MLFLOW_VERSIONS["3"]
    uri = mlflow_server(version).uri
    for one in warm_process(version, "part_cases", tmp_path / "cases", version.key, uri):
        assert one["broken"] == [], one


@pytest.mark.timeout(6 * 3600)
@pytest.mark.skipif(RESULTS not in os.environ, reason="make orders: it takes an hour")
def test_every_order(home, mlflow_server, tmp_path: Path):
    version = MLFLOW_VERSIONS["3"]
    given = (version.key, mlflow_server(version).uri, "in_memory", "all")
    table = Path(os.environ[RESULTS], "part-orders.md")

    def write(came: list[dict]) -> None:
        table.write_text(order_table(came))

    folder = tmp_path / "all"
    came = warm_process(version, "part_orders", folder, *given, seconds=6 * 3600, each=write)
    assert [one for one in came if one["broken"]] == []
