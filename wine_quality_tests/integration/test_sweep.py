"""The job ``wine_quality_sweep`` on each version's real server: its runs, and what a fault leaves.

On the command line, and by the real webserver, daemon and run launcher.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.runs.child_runs import children_experiment
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import MlflowServer, await_condition
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

ALPHAS, RATIOS = ["0.001", "0.1", "0.5"], ["0.2", "0.8"]
POINTS = len(ALPHAS) * len(RATIOS)
# Of the best point, alpha 0.001 and l1_ratio 0.2, fitted by itself (test_sweep_points.one_by_one):
# mean of five folds, and on the held-out rows.
CV_RMSE, RMSE = 0.6491148800272943, 0.662556606282677
AT_LOGGING = r"/runs/log-batch"
SOME = 3
AT_REGISTRATION = r"/model-versions/create"


class Sweep:
    """An experiment and a model of its own, on the real server behind a proxy."""

    def __init__(self, version: MlflowVersion, server: MlflowServer, folder: Path) -> None:
        self.version, self.server = version, server
        self.proxy = FaultProxy(server.uri)
        self.name = f"sweep-{uuid.uuid4().hex[:8]}"
        self._config = folder / "run.yaml"
        self._config.write_text(
            f"resources: {{mlflow: {{config: {{registered_model_name: {self.name}}}}}}}"
        )

    @property
    def logged_before_children(self) -> int:
        """The parent's parameters; dagster-mlflow logs its tags so too."""
        return 2 if self.version.key == "1.26" else 1

    def arguments(self, *options: str, name: str = "sweep") -> list[str]:
        points = ["--alphas", ",".join(ALPHAS), "--l1-ratios", ",".join(RATIOS)]
        return [
            *(name, "--mlflow", self.version.key),
            *("--tracking-uri", self.proxy.uri, "--experiment", self.name),
            *("--config", str(self._config), *(points if name == "sweep" else []), *options),
        ]

    def run_config(self) -> dict[str, Any]:
        fields = {
            "version": self.version.key,
            "tracking_uri": self.proxy.uri,
            "experiment_name": self.name,
            "registered_model_name": self.name,
        }
        points = {"alphas": [float(a) for a in ALPHAS], "l1_ratios": [float(r) for r in RATIOS]}
        return {
            "ops": {"sweep_points": {"config": points}},
            "resources": {"mlflow": {"config": fields}},
        }

    def runs(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """The parent, and its children as they are."""
        parents, children = [], []
        apart = self.server.runs(children_experiment(self.name))
        for run in [*self.server.runs(self.name), *apart]:
            tags = {tag["key"]: tag["value"] for tag in run["data"]["tags"]}
            run["tags"] = tags
            (children if "mlflow.parentRunId" in tags else parents).append(run)
        [parent] = parents
        # Not in the way of the runs.
        assert children == apart
        for child in children:
            assert child["tags"]["mlflow.parentRunId"] == parent["info"]["run_id"]
        return parent, children

    def statuses(self) -> tuple[str, list[str]]:
        parent, children = self.runs()
        return parent["info"]["status"], sorted(child["info"]["status"] for child in children)


@pytest.fixture
def sweep(home, mlflow_version, mlflow_server, tmp_path) -> Iterator[Sweep]:
    sweep = Sweep(mlflow_version, mlflow_server(mlflow_version), tmp_path)
    yield sweep
    sweep.proxy.stop()


@pytest.fixture(scope="module")
def dagster(tmp_path_factory) -> Iterator[DagsterStack]:
    stack = DagsterStack(tmp_path_factory.mktemp("sweeps"))
    yield stack
    stack.stop()


def values(entries: list[dict[str, Any]]) -> dict[str, Any]:
    return {entry["key"]: entry["value"] for entry in entries}


def do(arguments: list[str], code: int = 0) -> str:
    done = run_command(*arguments)
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_a_run_for_each_point_and_the_best_challenges(sweep):
    output = do(sweep.arguments())
    assert "best           alpha 0.001, l1_ratio 0.2" in output
    assert "is the first champion" in output
    parent, children = sweep.runs()
    assert parent["info"]["status"] == "FINISHED"
    assert [child["info"]["status"] for child in children] == ["FINISHED"] * POINTS
    points = [values(child["data"]["params"]) for child in children]
    assert {(p["alpha"], p["l1_ratio"]) for p in points} == {(a, r) for a in ALPHAS for r in RATIOS}
    by_name = {child["tags"]["mlflow.runName"]: child for child in children}
    best = by_name["alpha=0.001, l1_ratio=0.2"]
    errors = {name: values(child["data"]["metrics"])["cv_rmse"] for name, child in by_name.items()}
    assert min(errors, key=lambda name: errors[name]) == best["tags"]["mlflow.runName"]
    assert errors[best["tags"]["mlflow.runName"]] == pytest.approx(CV_RMSE, rel=1e-7)
    folds = sweep.server.rest(
        f"metrics/get-history?run_id={best['info']['run_id']}&metric_key=fold_rmse", "GET"
    )["metrics"]
    # A step of 0 is left out of the answer of some versions.
    by_step = {int(metric.get("step", 0)): metric["value"] for metric in folds}
    assert sum(by_step.values()) / 5 == pytest.approx(CV_RMSE, rel=1e-7)

    params, metrics = values(parent["data"]["params"]), values(parent["data"]["metrics"])
    assert (params["alpha"], params["l1_ratio"]) == ("0.001", "0.2")
    assert (params["sweep_points"], params["sweep_folds"]) == (str(POINTS), "5")
    assert metrics["cv_rmse"] == pytest.approx(CV_RMSE, rel=1e-7)
    assert metrics["rmse"] == pytest.approx(RMSE, abs=1e-9)
    for folder, file in (("plots", "sweep.png"), ("sweep", "points.csv"), ("plots", "residuals")):
        listed = sweep.server.rest(
            f"artifacts/list?run_id={parent['info']['run_id']}&path={folder}", "GET"
        )
        assert any(file in entry["path"] for entry in listed["files"]), listed
    [version] = sweep.server.versions(sweep.name)
    assert version["run_id"] == parent["info"]["run_id"]
    assert sweep.server.holder(sweep.name, "champion") == "1"

    # The next run of the job is compared with it, on the same rows.
    assert "version 1 (RMSE 0.662557) stays the champion" in do(sweep.arguments(name="run"))


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--alphas", "much"], 2, "'much' is no list of numbers such as 0.1,1"),
        (["--alphas", "-1"], 2, "sweep_points.config.alphas.0 is -1.0; it must be at least 0"),
        (["--folds", "1"], 2, "sweep_points.config.folds is 1; it must be at least 2"),
        (["--csv-url", "/nowhere.csv"], 1, "/nowhere.csv does not exist"),
        (["--alphas", "1000"], 1, "beats_predicting_the_mean: RMSE"),
    ],
)
def test_bad_input_is_named(home, mlflow_server, tmp_path, options, code, words):
    """On one version: nothing is registered, and nothing left RUNNING."""
    version = MLFLOW_VERSIONS["3"]
    sweep = Sweep(version, mlflow_server(version), tmp_path)
    try:
        output = do(sweep.arguments(*options), code)
    finally:
        sweep.proxy.stop()
    assert words in output
    assert "Traceback" not in output
    assert sweep.server.versions(sweep.name) == []
    assert "RUNNING" not in sweep.server.statuses(sweep.name)


def test_ctrl_c_leaves_no_running_child(sweep, tmp_path):
    sweep.proxy.hold(AT_LOGGING, after=sweep.logged_before_children + SOME)
    log = tmp_path / "log"
    process = subprocess.Popen(
        [sys.executable, "-m", "wine_quality", *sweep.arguments()],
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=PROJECT_ROOT,
    )
    try:
        assert sweep.proxy.held.wait(60), log.read_text()
        assert sweep.statuses() == ("RUNNING", ["FINISHED"] * SOME + ["RUNNING"])
        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 130, log.read_text()
    finally:
        process.kill()
    assert sweep.statuses() == ("KILLED", ["FINISHED"] * SOME + ["KILLED"])
    assert "is CANCELED, MLflow run" in log.read_text()
    assert sweep.server.versions(sweep.name) == []


def test_terminated_from_the_ui(dagster, sweep):
    sweep.proxy.hold(AT_LOGGING, after=sweep.logged_before_children + SOME)
    run = dagster.launch(sweep.run_config(), job="wine_quality_sweep")
    assert sweep.proxy.held.wait(60), dagster.messages(run)
    dagster.terminate(run)
    assert dagster.wait(run) == "CANCELED", dagster.messages(run)
    assert sweep.statuses() == ("KILLED", ["FINISHED"] * SOME + ["KILLED"])


def test_a_killed_worker_leaves_no_running_child(dagster, sweep):
    sweep.proxy.hold(AT_LOGGING, after=sweep.logged_before_children + SOME)
    run = dagster.launch(sweep.run_config(), job="wine_quality_sweep")
    assert sweep.proxy.held.wait(60), dagster.messages(run)
    os.kill(dagster.worker_pid(run), signal.SIGKILL)
    assert dagster.wait(run) == "FAILURE", dagster.messages(run)
    ended = ("FAILED", ["FAILED"] + ["FINISHED"] * SOME)
    await_condition(lambda: sweep.statuses() == ended, "the sensor to close the runs", 60)


def test_a_retry_goes_on_after_the_children_that_are_there(dagster, sweep):
    sweep.proxy.refuse(AT_LOGGING, after=sweep.logged_before_children + SOME)
    failed = dagster.launch(sweep.run_config(), job="wine_quality_sweep")
    assert dagster.wait(failed) == "FAILURE"
    assert sweep.statuses() == ("FAILED", ["FAILED"] + ["FINISHED"] * SOME)

    sweep.proxy.refuse(AT_REGISTRATION)
    again = dagster.reexecute_from_failure(failed)
    assert dagster.wait(again) == "FAILURE"
    assert any("3 child runs are there already; 3 are left" in m for m in dagster.messages(again))
    assert sweep.statuses() == ("FAILED", ["FAILED"] + ["FINISHED"] * POINTS)

    sweep.proxy.refuse(None)
    last = dagster.reexecute_from_failure(again)
    assert dagster.wait(last) == "SUCCESS", dagster.messages(last)
    assert sweep.statuses() == ("FINISHED", ["FAILED"] + ["FINISHED"] * POINTS)
    assert len(sweep.server.versions(sweep.name)) == 1
    assert sweep.server.holder(sweep.name, "champion") == "1"
