"""Real MLflow servers as processes that die with the tests."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality_tests.support.warm_programs import WarmProgram
from wine_quality_tests.support.warm_workers import MLFLOW

READY_SECONDS = 90


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def dying_with_us(*command: str | Path) -> list[str]:
    """The command of a process that the kernel ends with the tests (Linux).

    By ``setpriv`` of util-linux and not by a ``preexec_fn``: between its fork and exec the threads
    of gRPC, which Dagster's clients leave in the tests' process, may meet file descriptors that
    were closed under them, and abort the child.
    """
    return [shutil.which("setpriv") or "setpriv", "--pdeathsig", "KILL", *map(str, command)]


def await_condition(condition: Callable[[], bool], what: str, seconds: float = 90) -> None:
    """Return when it holds; fail when it does not within ``seconds``.

    It is asked every 50 ms at first and ever more rarely, up to every 0.3 s: each question to a
    webserver or to MLflow costs that server some 20 ms of the processor that the runs need.
    """
    deadline = time.monotonic() + seconds
    pause = 0.05
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s for {what}"
        time.sleep(pause)
        pause = min(pause * 1.15, 0.3)


class MlflowServer:
    """sqlite behind it, artifacts proxied (``--serve-artifacts``)."""

    options: Sequence[str] = ()
    """Of ``mlflow server``, besides those of every server here."""
    headers: Mapping[str, str] = {}
    """Of the requests that the tests send."""

    def __init__(self, version: MlflowVersion, folder: Path, **variables: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.version = version
        self.uri = f"http://127.0.0.1:{port}"
        self.log = folder / "server.log"
        self.database, self.artifacts = folder / "mlflow.db", folder / "artifacts"
        command = ["-c", MLFLOW, "server"]
        command += ["--backend-store-uri", f"sqlite:///{self.database}"]
        command += ["--serve-artifacts", "--artifacts-destination", str(self.artifacts)]
        command += ["--default-artifact-root", "mlflow-artifacts:/"]
        command += ["--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
        command += self.options
        with self.log.open("wb") as log:
            self._process = WarmProgram(
                version.require_python(),
                *command,
                env={**version.process_variables(), "HOME": str(folder), **variables},
                cwd=folder,
                log=log,
            )
        self._await_health()

    def _await_health(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                    if answer.status == 200:
                        return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        self.stop()
        raise RuntimeError(f"MLflow server not ready:\n{self.log.read_text()[-3000:]}")

    def rest(self, path: str, method: str = "POST", /, **body: Any) -> dict[str, Any]:
        """Ask over REST, which is the same on every version; ``path`` below ``mlflow/``."""
        return self._ask(f"2.0/mlflow/{path}", method, json.dumps(body).encode())

    def get(self, path: str) -> dict[str, Any]:
        """Ask over REST by GET; ``path`` with its query."""
        return self._ask(f"2.0/mlflow/{path}", "GET")

    def _ask(self, path: str, method: str, body: bytes | None = None) -> dict[str, Any]:
        request = urllib.request.Request(
            f"{self.uri}/api/{path}",
            data=body,
            headers={"Content-Type": "application/json", **self.headers},
            method=method,
        )
        with urllib.request.urlopen(request, timeout=20) as answer:
            return json.loads(answer.read() or b"{}")

    def runs(self, experiment: str) -> list[dict[str, Any]]:
        """``info`` and ``data`` of every run of an experiment, newest first."""
        query = urllib.parse.urlencode({"experiment_name": experiment})
        try:
            found = self.get(f"experiments/get-by-name?{query}")["experiment"]
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return []
            raise
        return self.rest("runs/search", experiment_ids=[found["experiment_id"]]).get("runs", [])

    def statuses(self, experiment: str) -> list[str]:
        return [run["info"]["status"] for run in self.runs(experiment)]

    def versions(self, model: str) -> list[dict[str, Any]]:
        """The versions of a registered model; none when there is no such model."""
        query = urllib.parse.urlencode({"filter": f"name='{model}'"})
        return self.get(f"model-versions/search?{query}").get("model_versions", [])

    def holder(self, model: str, role: str) -> str | None:
        """The version with the alias (MLflow 3) or the stage that stands for it."""
        if self.version.key == "3":
            query = urllib.parse.urlencode({"name": model})
            found = self.get(f"registered-models/get?{query}")["registered_model"]
            found = found.get("aliases", [])
            return {entry["alias"]: entry["version"] for entry in found}.get(role)
        stage = {"champion": "Production", "challenger": "Staging"}[role]
        found = [v["version"] for v in self.versions(model) if v["current_stage"] == stage]
        assert len(found) <= 1, found
        return found[0] if found else None

    def stop(self) -> None:
        """End it and its gunicorn workers, which outlive a parent that is only asked."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self._process.wait()


def processes_of(home: Path) -> list[str]:
    """Command lines of what runs with this home."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if str(home) in (folder / "environ").read_text(errors="replace"):
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def opened_by(pid: int) -> set[str]:
    """The targets of a process's descriptors; some may be closed meanwhile."""
    opened = set()
    for link in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(FileNotFoundError):
            opened.add(os.readlink(link))
    return opened
