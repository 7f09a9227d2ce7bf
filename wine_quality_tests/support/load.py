"""Many at once: runs in the queue, clients of the MLflow server, points of a sweep.

Each function does so many, holds what the stores say afterwards against what was asked, and returns
what it took. A loss is an AssertionError.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from benchmarks.stack import proportional_mib
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.runs.child_runs import children_experiment
from wine_quality_tests.support.dagster_stack import ENDED, DagsterStack
from wine_quality_tests.support.servers import MlflowServer

_POLL_SECONDS = 2.0


class Drained(NamedTuple):
    """The time that a queue took.

    Attributes:
        seconds: From the first launch to the end of the last run.
        launching: Of these, until all were in the queue.
        most_at_once: Runs under way together.
        mib: Of daemon and code servers together, without the runs' own processes, at each look.
    """

    seconds: float
    launching: float
    most_at_once: int
    mib: list[float]


def drain_queue(
    stack: DagsterStack, server: MlflowServer, runs: int, name: str, seconds: float
) -> Drained:
    """Queue so many runs of the job and wait until all have ended."""
    before = service_mib(stack)
    mlflow = {"version": "3", "tracking_uri": server.uri, "experiment_name": name}
    config = {"resources": {"mlflow": {"config": {**mlflow, "registered_model_name": name}}}}
    began = time.monotonic()
    launched = [stack.launch(config) for _ in range(runs)]
    launching = time.monotonic() - began
    most, mib = 0, [before]
    while True:
        statuses = Counter(statuses_of(stack, launched).values())
        most = max(most, statuses["STARTED"] + statuses["STARTING"])
        mib.append(service_mib(stack))
        if sum(statuses[status] for status in ENDED) == runs:
            break
        assert time.monotonic() - began < seconds, f"after {seconds:g} s: {dict(statuses)}"
        time.sleep(_POLL_SECONDS)
    taken = time.monotonic() - began
    failed = [run for run, status in statuses_of(stack, launched).items() if status != "SUCCESS"]
    assert not failed, stack.messages(failed[0])
    tracked = list(every_run(server, name))
    assert Counter(run["info"]["status"] for run in tracked) == {"FINISHED": runs}
    assert {tags_of(run)["dagster.run_id"] for run in tracked} == set(launched)
    versions = every_version(server, name)
    assert sorted(int(one["version"]) for one in versions) == list(range(1, runs + 1))
    assert {one["run_id"] for one in versions} == {run["info"]["run_id"] for run in tracked}
    assert server.holder(name, "champion") is not None
    return Drained(taken, launching, most, mib)


def statuses_of(stack: DagsterStack, run_ids: list[str]) -> dict[str, str]:
    query = """query S($ids: [String!]) { runsOrError(filter: {runIds: $ids}) {
        ... on Runs { results { runId status } } } }"""
    found = stack.graphql(query, ids=run_ids)["runsOrError"]["results"]
    assert len(found) == len(run_ids), "Dagster lost a run"
    return {run["runId"]: run["status"] for run in found}


def service_mib(stack: DagsterStack) -> float:
    """Proportional set size of the daemon and its code server."""
    return sum(proportional_mib(stack.pid(name)) for name in ("daemon", "code"))


def ask_at_once(server: MlflowServer, clients: int, runs_each: int, name: str) -> float:
    """Clients that make, fill and end MLflow runs side by side; requests per second."""
    experiment = server.rest("experiments/create", name=name)["experiment_id"]

    def work(client: int) -> list[str]:
        made = []
        for number in range(runs_each):
            now = int(time.time() * 1000)
            run = server.rest("runs/create", experiment_id=experiment, start_time=now)["run"]
            run_id = run["info"]["run_id"]
            metrics = [
                {"key": "rmse", "value": client + number / 1000, "timestamp": now, "step": step}
                for step in range(10)
            ]
            params = [{"key": "client", "value": str(client)}]
            server.rest("runs/log-batch", run_id=run_id, metrics=metrics, params=params)
            server.rest("runs/update", run_id=run_id, status="FINISHED", end_time=now)
            made.append(run_id)
        return made

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        made = [run_id for each in pool.map(work, range(clients)) for run_id in each]
    taken = time.monotonic() - began
    found = {run["info"]["run_id"]: run for run in every_run(server, name)}
    assert set(found) == set(made) and len(made) == clients * runs_each
    assert {run["info"]["status"] for run in found.values()} == {"FINISHED"}
    per_client = Counter(run["data"]["params"][0]["value"] for run in found.values())
    assert per_client == {str(client): runs_each for client in range(clients)}
    return 3 * len(made) / taken


def sweep_points(
    server: MlflowServer, points: int, name: str, environment: dict[str, str]
) -> float:
    """A sweep of so many points, ten shares of L1 each; seconds from process start to exit."""
    assert points % 10 == 0
    alphas = ",".join(f"{0.0001 * (n + 1):.4f}" for n in range(points // 10))
    ratios = ",".join(f"{0.1 * (n + 1):.1f}" for n in range(10))
    command = [sys.executable, "-m", "wine_quality", "sweep", "--tracking-uri", server.uri]
    command += ["--experiment", name, "--alphas", alphas, "--l1-ratios", ratios]
    began = time.monotonic()
    done = subprocess.run(
        command, env=environment, cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=1200
    )
    taken = time.monotonic() - began
    assert done.returncode == 0, done.stdout + done.stderr
    runs = [*every_run(server, name), *every_run(server, children_experiment(name))]
    children = [run for run in runs if "mlflow.parentRunId" in tags_of(run)]
    assert len(children) == points and len(runs) == points + 1
    assert {run["info"]["status"] for run in runs} == {"FINISHED"}
    tried = {tuple(sorted(params_of(run).items())) for run in children}
    assert len(tried) == points, "a point is missing or there twice"
    return taken


def every_run(server: MlflowServer, experiment: str) -> Iterator[dict[str, Any]]:
    """Also of more than one page."""
    found = server.rest("experiments/search", max_results=1000).get("experiments", [])
    [number] = [one["experiment_id"] for one in found if one["name"] == experiment]
    asked: dict[str, Any] = {"experiment_ids": [number], "max_results": 500}
    while True:
        page = server.rest("runs/search", **asked)
        yield from page.get("runs", [])
        if not page.get("next_page_token"):
            return
        asked["page_token"] = page["next_page_token"]


def every_version(server: MlflowServer, model: str) -> list[dict[str, Any]]:
    import urllib.parse

    found: list[dict[str, Any]] = []
    token = ""
    while True:
        query = {"filter": f"name='{model}'", "max_results": 100}
        if token:
            query["page_token"] = token
        page = server.get(f"model-versions/search?{urllib.parse.urlencode(query)}")
        found += page.get("model_versions", [])
        token = page.get("next_page_token", "")
        if not token:
            return found


def tags_of(run: dict[str, Any]) -> dict[str, str]:
    return {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}


def params_of(run: dict[str, Any]) -> dict[str, str]:
    return {one["key"]: one["value"] for one in run["data"].get("params", [])}
