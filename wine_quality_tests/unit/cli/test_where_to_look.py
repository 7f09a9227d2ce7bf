"""The closing lines of a run: where it is."""

from __future__ import annotations

import pytest

from wine_quality.cli.where_to_look import where_to_look

SERVER = "https://mlflow.example.org/#/experiments/1/runs/2"


@pytest.fixture(autouse=True)
def no_ui(home, monkeypatch):
    monkeypatch.delenv("DAGSTER_WEBSERVER_URL", raising=False)


def test_an_embedded_store_is_seen_by_make_up(home):
    lines = where_to_look("abc", "/mlflow/3/#/runs/2", "3")
    assert lines == f"Open both UIs: make up MLFLOW=3\n(data in {home})"


def test_a_run_of_a_server_is_seen_there(home):
    lines = where_to_look("abc", SERVER, "2.1.1")
    dagster = f"Dagster: make up MLFLOW=2.1.1 (data in {home}/dagster)"
    assert lines == f"{dagster}\nMLflow:  {SERVER}"


def test_both_are_linked_where_dagster_is_seen(monkeypatch):
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "https://dagster.example.org")
    link = "Dagster: https://dagster.example.org/runs/abc\nMLflow:  "
    assert where_to_look("abc", SERVER, "3") == f"{link}{SERVER}"
    embedded = where_to_look("abc", "/mlflow/3/#/runs/2", "3")
    assert embedded == f"{link}https://dagster.example.org/mlflow/3/#/runs/2"
