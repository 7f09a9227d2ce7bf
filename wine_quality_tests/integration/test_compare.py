"""`make compare` on real servers of two versions, with runs that are made over REST."""

from __future__ import annotations

import json
import os
import urllib.request
import uuid

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.servers import MlflowServer, free_port
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

RECORD = {"model": {"features": ["alcohol"], "coefficients": [0.25], "intercept": 2.0}}


class Tracked:
    """Runs on one server."""

    def __init__(self, server: MlflowServer, experiment: str) -> None:
        self._server = server
        made = server.rest("experiments/create", name=experiment)
        self._experiment = made["experiment_id"]

    def run(self, rmse: float | str, dagster_run: str = "", status: str = "FINISHED") -> str:
        tags = [{"key": "dagster.run_id", "value": dagster_run}] if dagster_run else []
        info = self._server.rest("runs/create", experiment_id=self._experiment, tags=tags)
        run_id = info["run"]["info"]["run_id"]
        metrics = [{"key": "rmse", "value": rmse, "timestamp": 1, "step": 0}]
        params = [{"key": "alpha", "value": f"of {rmse}"}]
        self._server.rest("runs/log-batch", run_id=run_id, metrics=metrics, params=params)
        self._server.rest("runs/update", run_id=run_id, status=status, end_time=2)
        return run_id

    def leave_record(self, run_id: str) -> None:
        """As a training does; the server passes it on to its artifact store."""
        path = f"{self._experiment}/{run_id}/artifacts/training/record.json"
        request = urllib.request.Request(
            f"{self._server.uri}/api/2.0/mlflow-artifacts/artifacts/{path}",
            data=json.dumps(RECORD).encode(),
            method="PUT",
        )
        urllib.request.urlopen(request, timeout=20).close()

    def link(self, run_id: str) -> str:
        return f"{self._server.uri}/#/experiments/{self._experiment}/runs/{run_id}"


@pytest.fixture
def tracked(home, mlflow_server, monkeypatch) -> dict[str, Tracked]:
    """Servers that the environment names, and an experiment of this test on each."""
    experiment = f"compare-{uuid.uuid4().hex[:8]} 100% O'Brien 🍷"
    monkeypatch.setenv("EXPERIMENT", experiment)
    found = {}
    for key in ("3", "1.26"):
        server = mlflow_server(MLFLOW_VERSIONS[key])
        monkeypatch.setenv(f"WINE_QUALITY_MLFLOW_URI_{key.replace('.', '_')}", server.uri)
        found[key] = Tracked(server, experiment)
    return found


def compare(*arguments: str, code: int = 0):
    done = run_command("compare", *arguments, timeout=120)
    assert done.returncode == code, done.stdout + done.stderr
    if code:
        return done.stderr
    return json.loads(done.stdout) if "--json" in arguments else done.stdout


def test_the_best_finished_run_of_each_version(tracked, home, monkeypatch):
    best = {}
    for key, (worse, better) in {"3": (0.8, 0.7), "1.26": (0.9, 0.75)}.items():
        tracked[key].run(worse)
        best[key] = tracked[key].run(better)
        tracked[key].run(0.1, status="FAILED")
        tracked[key].run("NaN")  # as REST has it
    tracked["3"].leave_record(best["3"])
    output = compare("--json", "--experiment", os.environ["EXPERIMENT"])
    assert {run["version"]: run["run_id"] for run in output["runs"]} == best
    new, old = output["runs"]
    assert (new["metrics"], old["metrics"]) == ({"rmse": 0.7}, {"rmse": 0.75})
    assert new["coefficients"] == {"intercept": 2.0, "alcohol": 0.25}
    assert old["coefficients"] == {}
    assert output["differs"]["metrics"] == ["rmse"] and output["differs"]["params"] == ["alpha"]
    page = (home / "compare.html").read_text(encoding="utf-8")
    assert output["page"] == str(home / "compare.html")
    assert all(text in page for text in (*best.values(), "0.7 *", "0.75", "O&#x27;Brien"))


def test_runs_by_each_of_their_names(tracked, tmp_path):
    dagster_run = str(uuid.uuid4())
    new, old = tracked["3"].run(0.7, dagster_run), tracked["1.26"].run(0.8)
    named = f"{dagster_run} 1.26:{old},{tracked['3'].link(new)}"
    out = tmp_path / "beside" / "it's.html"
    text = compare(named, "--out", str(out))
    lines = text.splitlines()
    header = next(line for line in lines if "MLflow" in line)
    assert header.split() == ["MLflow", "3", "MLflow", "1.26"]  # the link names the first again
    (rmse,) = [line for line in lines if " rmse " in line]
    assert rmse.split() == ["≠", "rmse", "0.7", "*", "0.8"]
    assert f"page           {out}" in lines and out.exists()
    assert f"MLflow 1.26    {tracked['1.26'].link(old)}" in lines


def test_what_is_not_found_is_said_with_what_was_searched(tracked, monkeypatch):
    away = f"http://127.0.0.1:{free_port()}"
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    output = compare(f"3:{'0' * 32}", "--tracking-uri", away, code=1)
    assert f"The run 3:{'0' * 32} was found in no store of MLflow 3. Searched: " in output
    assert f"{away} (MLflow 3) – not read: " in output
    assert "(MLflow 1.26)" not in output
    assert "names no run" in compare("yesterday's", code=2)
