"""A real Dagster: webserver and daemon as processes, runs through the project's launcher."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import requests
from dagster import DagsterInstance

from wine_quality.execution.kept_connections import keep_connections
from wine_quality.execution.warm_client import WarmServers
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition, free_port
from wine_quality_tests.support.warm_programs import WarmProgram

READY_SECONDS = 90
RUN_SECONDS = 120
ENDED = ("SUCCESS", "FAILURE", "CANCELED")

_LAUNCH = """
mutation Launch($params: ExecutionParams!) { launchRun(executionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message causes { message } }
  ... on RunConfigValidationInvalid { errors { message } }
} }"""
_REEXECUTE = """
mutation Again($params: ReexecutionParams!) { launchRunReexecution(reexecutionParams: $params) {
  __typename
  ... on LaunchRunSuccess { run { runId } }
  ... on PythonError { message }
} }"""
_TERMINATE = """
mutation Stop($run: String!) { terminateRun(runId: $run) { __typename } }"""
_LOADED = """
{ workspaceOrError { ... on Workspace { locationEntries { name loadStatus
  locationOrLoadError { __typename } } } } }"""


class DagsterStack:
    """Webserver and daemon over one DAGSTER_HOME, ended with the tests."""

    _store: DagsterInstance | None = None
    """None where its databases are not in files here."""

    def __init__(self, home: Path, project: Path | None = None, **variables: str) -> None:
        """Args:
        project: File of definitions of another project, whose folder is its own.
        """
        self._code = ["-m", "wine_quality.definitions", "-a", "defs"]
        if project is not None:
            self._code = ["-f", str(project), "-a", "defs", "-d", str(project.parent)]
        self.dagster_home = home / "dagster"
        self.dagster_home.mkdir(parents=True)
        (self.dagster_home / "dagster.yaml").symlink_to(PROJECT_ROOT / "dagster.yaml")
        self.variables = {
            **os.environ,
            "DAGSTER_HOME": str(self.dagster_home),
            "WINE_QUALITY_HOME": str(home),
            # Tests give each run a server, or the proxy before it, by its config.
            "WINE_QUALITY_ALLOWED_TRACKING_URIS": "*",
        }
        self.variables.pop("MLFLOW_TRACKING_URI", None)
        self.variables.update(variables)
        # Dagster's sqlite stores are spoilt when two processes make them at once.
        self._store = DagsterInstance.from_config(str(self.dagster_home))
        keep_connections(self._store)
        assert self._store.get_runs_count() == 0
        self._store.all_instigator_state()
        self.warm = WarmServers.of_home(self.dagster_home)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._folder = home
        # A path of its own: that of a test's folder is too long for a socket.
        sockets = Path(tempfile.mkdtemp(prefix="wq-code-"))
        self._socket, self._workspace = sockets / "socket", sockets / "workspace.yaml"
        server = {"socket": str(self._socket), "location_name": "ml_repository"}
        self._workspace.write_text(json.dumps({"load_from": [{"grpc_server": server}]}))
        self._processes: dict[str, WarmProgram] = {}
        try:
            self.start_daemon()
            self._processes["webserver"] = self._start(
                "dagster_webserver",
                *("-h", "127.0.0.1", "-p", str(port), "-w", str(self._workspace)),
                name="webserver",
            )
            await_condition(self._ready, "the code location", READY_SECONDS)
        except AssertionError:
            self.stop()
            raise

    def _start(self, module: str, *arguments: str, name: str) -> WarmProgram:
        """One of Dagster's programs; its output goes to ``name``.log."""
        with (self._folder / f"{name}.log").open("ab") as log:
            return WarmProgram(
                sys.executable,
                "-m",
                module,
                *arguments,
                env=self.variables,
                cwd=PROJECT_ROOT,
                log=log,
            )

    def start_daemon(self) -> None:
        """With its code server, which the webserver uses, too.

        A daemon that reads ``workspace.yaml`` starts a new code server every minute: five seconds
        of the processor each.
        """
        self._socket.unlink(missing_ok=True)
        self._processes["code"] = self._start(
            "dagster",
            "api",
            "grpc",
            "--socket",
            str(self._socket),
            *self._code,
            "--location-name",
            "ml_repository",
            "--inject-env-vars-from-instance",
            name="code",
        )
        await_condition(self._has_opened, "the code server", READY_SECONDS)
        self._processes["daemon"] = self._start(
            "dagster._daemon", "run", "-w", str(self._workspace), name="daemon"
        )

    def _has_opened(self) -> bool:
        self._assert_running()
        return self._socket.exists()

    def pid(self, name: str) -> int:
        """Of ``webserver``, ``daemon`` or ``code``, the daemon's code server."""
        return self._processes[name].pid

    def kill_daemon(self) -> None:
        """As a machine that goes down does; what it started dies with it, runs included."""
        for name in ("daemon", "code"):
            process = self._processes.pop(name)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        self.warm.stop(grace_seconds=0)

    def runs(self) -> list[dict[str, Any]]:
        """Status and tags of every run, the newest first."""
        query = "{ runsOrError { ... on Runs { results { runId status tags { key value } } } } }"
        found = self.graphql(query)["runsOrError"]["results"]
        return [{**run, "tags": {t["key"]: t["value"] for t in run["tags"]}} for run in found]

    def freshness(self, asset: str) -> str | None:
        """An asset's freshness policy as the UI shows it."""
        query = """query F($key: AssetKeyInput!) { assetNodeOrError(assetKey: $key) {
            ... on AssetNode { freshnessStatusInfo { freshnessStatus } } } }"""
        info = self.graphql(query, key={"path": [asset]})["assetNodeOrError"]["freshnessStatusInfo"]
        return info and info["freshnessStatus"]

    def ticks(self, sensor: str) -> list[dict[str, Any]]:
        """Status, times, skip reason and error of a sensor's ticks, the newest first."""
        query = """query T($s: SensorSelector!) { sensorOrError(sensorSelector: $s) {
            ... on Sensor { sensorState { ticks(limit: 50) {
                id status timestamp endTimestamp skipReason runIds
                error { message causes { message } } } } } } }"""
        selector = {
            "repositoryLocationName": "ml_repository",
            "repositoryName": "__repository__",
            "sensorName": sensor,
        }
        return self.graphql(query, s=selector)["sensorOrError"]["sensorState"]["ticks"]

    def _assert_running(self) -> None:
        for name, process in self._processes.items():
            if process.poll() is not None:
                raise AssertionError((self._folder / f"{name}.log").read_text()[-3000:])

    def _ready(self) -> bool:
        self._assert_running()
        try:
            entries = self.graphql(_LOADED)["workspaceOrError"]["locationEntries"]
        except requests.RequestException:
            return False
        return [entry["loadStatus"] for entry in entries] == ["LOADED"]

    def stop(self) -> None:
        while self._processes:
            process = self._processes.popitem()[1]
            try:
                os.killpg(process.pid, signal.SIGTERM)
                process.wait(20)
            except (ProcessLookupError, subprocess.TimeoutExpired):
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        self.warm.stop(grace_seconds=0)
        if self._store is not None:
            self._store.dispose()

    def graphql(self, query: str, **variables: Any) -> Any:
        answer = requests.post(
            f"{self.url}/graphql", json={"query": query, "variables": variables}, timeout=60
        )
        content = answer.json()
        assert "errors" not in content, content
        return content["data"]

    def launch(
        self,
        config: dict[str, Any],
        assets: list[str] | None = None,
        job: str | None = None,
        tags: dict[str, str] | None = None,
        ops: list[str] | None = None,
    ) -> str:
        """Launch the job, or only ``ops`` of it, or materialize ``assets`` as the UI's button does;
        returns the run id."""
        selector: dict[str, Any] = {
            "repositoryLocationName": "ml_repository",
            "repositoryName": "__repository__",
            "pipelineName": job or ("__ASSET_JOB" if assets else "wine_quality_model"),
        }
        if assets:
            selector["assetSelection"] = [{"path": [asset]} for asset in assets]
            selector["assetCheckSelection"] = None
        if ops:
            selector["solidSelection"] = ops
        params = {"selector": selector, "mode": "default", "runConfigData": config}
        metadata = [{"key": key, "value": value} for key, value in (tags or {}).items()]
        params["executionMetadata"] = {"tags": metadata}
        answer = self.graphql(_LAUNCH, params=params)["launchRun"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def reexecute_from_failure(self, run_id: str) -> str:
        params = {"parentRunId": run_id, "strategy": "FROM_FAILURE"}
        answer = self.graphql(_REEXECUTE, params=params)["launchRunReexecution"]
        assert answer["__typename"] == "LaunchRunSuccess", answer
        return answer["run"]["runId"]

    def terminate(self, run_id: str) -> None:
        answer = self.graphql(_TERMINATE, run=run_id)["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer

    def status(self, run_id: str) -> str:
        query = "query S($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"
        return self.graphql(query, run=run_id)["runOrError"]["status"]

    def wait(self, run_id: str, seconds: float = RUN_SECONDS) -> str:
        """The status the run ends with."""
        await_condition(lambda: self._has_ended(run_id), f"the end of run {run_id}", seconds)
        return self.status(run_id)

    def _has_ended(self, run_id: str) -> bool:
        """From the store: to ask the webserver again and again takes more of the processor."""
        if self._store is None:
            return self.status(run_id) in ENDED
        run = self._store.get_run_by_id(run_id)
        return run is not None and run.status.value in ENDED

    def messages(self, run_id: str) -> list[str]:
        """The lines of the run's log, errors included, oldest first."""
        query = """query L($run: ID!) { logsForRun(runId: $run) { ... on EventConnection {
            events { ... on MessageEvent { message }
                     ... on ErrorEvent { error { message causes { message } } } } } } }"""
        lines = []
        for event in self.graphql(query, run=run_id)["logsForRun"]["events"]:
            lines.append(event.get("message") or "")
            if event.get("error"):
                lines.append(event["error"]["message"])
                lines += [cause["message"] for cause in event["error"]["causes"]]
        return lines

    def worker_pid(self, run_id: str) -> int:
        """The process that was started for the run."""
        for line in self.messages(run_id):
            found = re.search(r"Started process for run \(pid: (\d+)\)", line)
            if found:
                return int(found[1])
        raise AssertionError(f"run {run_id} names no process")
