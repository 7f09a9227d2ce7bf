"""Runs of each version with a metrics history, from the command line, on a real PostgreSQL."""

from __future__ import annotations

import os
import subprocess
import uuid
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.serving.runtime.prediction_log import PredictionLog
from wine_quality_tests.support.postgres import PASSWORD
from wine_quality_tests.support.servers import MlflowServer, free_port
from wine_quality_tests.support.warm_commands import forked_command, run_command

pytestmark = pytest.mark.slow

ALL = "SELECT * FROM wine_quality.evaluation_metrics ORDER BY time, run_id, metric"
QUOTED = "p%40ss%2Fw0rd%25"


def start(home: Path, url: str, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        forked_command("-m", "wine_quality", *arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=PROJECT_ROOT,
        env={**os.environ, "WINE_QUALITY_HOME": str(home), "WINE_QUALITY_METRICS_URL": url},
    )


def do(home: Path, url: str, *arguments: str, code: int = 0) -> str:
    environment = {"WINE_QUALITY_HOME": str(home), "WINE_QUALITY_METRICS_URL": url}
    done = run_command(*arguments, env={**os.environ, **environment})
    output = done.stdout + done.stderr
    assert done.returncode == code, output
    return output


@pytest.fixture
def config(tmp_path: Path) -> tuple[str, list[str]]:
    """A model's name of its own, and the options by which it is used."""
    name = f"kept-{uuid.uuid4().hex[:8]}"
    file = tmp_path / "run.yaml"
    file.write_text(f"resources: {{mlflow: {{config: {{registered_model_name: {name}}}}}}}")
    return name, ["--config", str(file), "--experiment", name]


def expected(server: MlflowServer, name: str) -> list[tuple[Any, ...]]:
    """The rows that what MLflow holds makes."""
    runs = {run["info"]["run_id"]: run for run in server.runs(name)}
    rows = []
    for version in server.versions(name):
        run = runs[version["run_id"]]
        began = datetime.fromtimestamp(int(run["info"]["start_time"]) / 1000, timezone.utc)
        tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
        for metric in run["data"]["metrics"]:
            if metric["key"] in ("rmse", "mae", "r2"):
                mine = (began, name, int(version["version"]), version["run_id"])
                rows.append((*mine, metric["key"], metric["value"], tags["data_sha256"]))
    return sorted(rows)


def without_client(row: tuple[Any, ...]) -> tuple[Any, ...]:
    return (*row[:3], *row[4:])


def test_two_runs_at_once_and_a_backfill(home, mlflow_version, mlflow_server, postgres, config):
    """They are the first to write: both would migrate."""
    server: MlflowServer = mlflow_server(mlflow_version)
    database = postgres.create_database()
    url = postgres.url(database)
    assert QUOTED in url
    name, options = config
    at = ["--mlflow", mlflow_version.key, "--tracking-uri", server.uri]
    homes = [home / "one", home / "two"]
    running = [start(own, url, "run", *at, *options) for own in homes]
    output = [process.communicate(timeout=250)[0] for process in running]
    assert [process.returncode for process in running] == [0, 0], output
    assert "not in the history" not in "".join(output)
    assert sum("is at revision" in text for text in output) == 1

    kept = postgres.execute(ALL, database)
    assert len(kept) == 6
    assert sorted(map(without_client, kept)) == expected(server, name)
    assert {row[3].startswith(mlflow_version.client) for row in kept} == {True}
    for run in server.runs(name):
        plots = server.rest(f"artifacts/list?run_id={run['info']['run_id']}&path=plots", "GET")
        assert "plots/rmse_trend.png" in [file["path"] for file in plots["files"]]
    for own in homes:
        metadata, everything = _materialized(own)
        assert metadata["rmse_trend"].value.startswith("![rmse_trend](<data:image/svg")
        png = "![rmse_trend](data:image/png;base64,"
        assert metadata["rmse_trend_plot"].value.startswith(png)
        assert metadata["metrics_history"].value == f"127.0.0.1:{postgres.port}/{database}"
        for secret in (PASSWORD, QUOTED):
            assert secret not in everything + "".join(output)

    # Lost rows come back from MLflow's registry; those that are there stay as they are.
    postgres.execute(
        "DELETE FROM wine_quality.evaluation_metrics WHERE model_version = 1", database
    )
    again = do(home, url, "metrics", "backfill", *at, "--model", name)
    assert f"2 version(s) of {name} are in the history 127.0.0.1:{postgres.port}" in again
    assert postgres.execute(ALL, database) == kept


def _materialized(own: Path) -> tuple[dict[str, Any], str]:
    """All metadata of the one run of an instance, and all that it has stored."""
    from dagster import DagsterInstance

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DAGSTER_HOME", str(own / "dagster"))
        with DagsterInstance.get() as instance:
            [run] = instance.get_runs()
            logs = instance.all_logs(run.run_id)
    metadata: dict[str, Any] = {}
    for entry in logs:
        if entry.dagster_event and entry.dagster_event.is_step_materialization:
            metadata |= entry.dagster_event.step_materialization_data.materialization.metadata
    return metadata, str(run.run_config) + str(run.tags) + "".join(map(str, logs))


def test_a_database_that_is_down_costs_rows_and_no_model(home, mlflow_server, postgres, config):
    server: MlflowServer = mlflow_server(MLFLOW_VERSIONS["3"])
    name, options = config
    url = postgres.url("metrics").replace(str(postgres.port), str(free_port()))
    at = ["--mlflow", "3", "--tracking-uri", server.uri]
    output = do(home, url, "run", *at, *options)
    assert "evaluation_metrics: warning: There is no plot of the RMSE over time." in output
    assert f"warning: {name} version 1 is registered, but its metrics are not in the" in output
    assert "/metrics cannot be used: connection to server at" in output
    assert "write what is missing: make metrics DO=backfill MLFLOW=3" in output
    assert QUOTED not in output and PASSWORD not in output
    metadata, everything = _materialized(home)
    assert "rmse_trend" not in metadata
    assert "is registered, but its metrics are not" in metadata["metrics_history"].value
    assert QUOTED not in everything and PASSWORD not in everything
    assert server.statuses(name) == ["FINISHED"]
    assert server.holder(name, "champion") == "1"

    # The sweep adds its model, once the database is there, and the history is made complete.
    database = postgres.create_database()
    url = postgres.url(database)
    small = ["--alphas", "0.1", "--l1-ratios", "0.5", "--folds", "2"]
    do(home, url, "sweep", *at, *options, *small)
    kept = postgres.execute(ALL, database)
    assert [row[2] for row in kept] == [2, 2, 2]
    do(home, url, "metrics", "backfill", *at, "--model", name)
    kept = postgres.execute(ALL, database)
    assert list(map(without_client, kept)) == expected(server, name)
    assert "a plain table\nrows           6, of 2 model versions" in do(
        home, url, "metrics", "status"
    )


def test_an_address_that_is_none_is_refused_before_anything_is_done(home, mlflow_server, config):
    _, options = config
    url = "mysql://io:s3cret-word@db/metrics"
    output = do(home, url, "run", *options, code=1)
    assert "begins with mysql://, but the metrics history needs PostgreSQL" in output
    assert "raw_wine_csv" not in output
    assert "s3cret" not in output


@pytest.mark.parametrize(
    ("url", "code", "words"),
    [
        ("", 2, "$WINE_QUALITY_METRICS_URL is empty, so no metrics history is kept"),
        ("mysql://io:s3cret-word@db/metrics", 2, "needs PostgreSQL"),
        ("postgresql://io:s3cret-word@127.0.0.1:1/metrics", 1, "Connection refused"),
    ],
)
def test_the_command_names_what_is_wrong(home, url, code, words):
    output = do(home, url, "metrics", "status", code=code)
    assert words in output
    assert "Traceback" not in output
    assert "s3cret" not in output


def test_the_command_upgrades_and_tells(home, postgres):
    database = postgres.create_database()
    url = postgres.url(database)
    assert "revision       none" in do(home, url, "metrics", "status")
    first, second = (do(home, url, "metrics", "upgrade") for _ in range(2))
    assert "is at revision 0002 (was: None)" in first
    assert "is at revision" not in second
    assert "rows           0, of 0 model versions" in second
    assert "table          wine_quality.predictions, a plain table" in second
    log = PredictionLog(url, warn=pytest.fail)
    log.record("M", "1", ["pH"], np.ones((3, 1)), np.ones(3))
    log.close(20)
    assert "last 24 hours  3 rows, of 1 model versions\nnewest " in do(
        home, url, "metrics", "status"
    )
