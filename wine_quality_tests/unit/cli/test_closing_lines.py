"""The closing lines of a run: what it found, and where it is."""

from __future__ import annotations

import pytest

from wine_quality.cli.closing_lines import links_to_run, metric_lines

SERVER = "https://mlflow.example.org/#/experiments/1/runs/2"


@pytest.fixture(autouse=True)
def no_ui(home, monkeypatch):
    monkeypatch.delenv("DAGSTER_WEBSERVER_URL", raising=False)


def test_an_embedded_store_is_seen_by_make_up(home):
    lines = links_to_run("abc", "/mlflow/3/#/runs/2", "3")
    assert lines == f"Open the UIs: make up MLFLOW=3\n(data in {home})"


def test_a_run_of_a_server_is_seen_there(home):
    lines = links_to_run("abc", SERVER, "2.1.1")
    dagster = f"Dagster: make up MLFLOW=2.1.1 (data in {home}/dagster)"
    assert lines == f"{dagster}\nMLflow:  {SERVER}"


def test_both_are_linked_where_dagster_is_seen(monkeypatch):
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "https://dagster.example.org")
    link = "Dagster: https://dagster.example.org/runs/abc\nMLflow:  "
    assert links_to_run("abc", SERVER, "3") == f"{link}{SERVER}"
    embedded = links_to_run("abc", "/mlflow/3/#/runs/2", "3")
    assert embedded == f"{link}https://dagster.example.org/mlflow/3/#/runs/2"


def test_a_metric_that_a_run_does_not_have_is_left_out(monkeypatch):
    """One added to the in-memory path: the summary of a streamed run has no such entry."""
    monkeypatch.setattr("wine_quality.cli.closing_lines.METRICS", ("rmse", "added", "r2"))
    lines = metric_lines({"rmse": 0.5, "r2": 0.25, "rows": 3})
    assert lines.split() == ["rmse", "0.5", "r2", "0.25"]
