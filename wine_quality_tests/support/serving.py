"""``make serve`` as a process, requests to it, and load on it."""

from __future__ import annotations

import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections import Counter
from pathlib import Path
from typing import Any

from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.servers import await_condition, free_port
from wine_quality_tests.support.warm_commands import run_command
from wine_quality_tests.support.warm_programs import WarmProgram

NAME = "ElasticnetWineModel"
READY_SECONDS = 120


def run_job(home: Path, version: MlflowVersion, *arguments: str, **variables: str) -> None:
    """The main job, as ``make run`` does it."""
    environment = _environment(home, variables)
    done = run_command("run", "--mlflow", version.key, *arguments, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr


def _environment(home: Path, more: dict[str, str]) -> dict[str, str]:
    dropped = ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_METRICS_URL")
    kept = {name: value for name, value in os.environ.items() if name not in dropped}
    return {**kept, "WINE_QUALITY_HOME": str(home), **more}


def request_of(rows: list[list[float]]) -> dict[str, Any]:
    """The V2 request for wines, in the order of ``FEATURES``."""
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": "FP64",
                "data": [row[position] for row in rows],
            }
            for position, name in enumerate(FEATURES)
        ]
    }


class Serve:
    """``python -m wine_quality serve``; use it as a context."""

    def __init__(
        self, home: Path, version: MlflowVersion, *arguments: str, **variables: str
    ) -> None:
        self.port, self.grpc_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        given = list(arguments)
        self.name = given[given.index("--model") + 1] if "--model" in given else NAME
        self.folder = home / "serving" / f"mlflow-{version.key}" / self.name
        self.log = home / f"serve-{self.port}.log"
        home.mkdir(parents=True, exist_ok=True)
        command = ["-m", "wine_quality", "serve", "--mlflow", version.key, "--every", "0.2"]
        command += ["--port", str(self.port), "--grpc-port", str(self.grpc_port), *arguments]
        with self.log.open("wb") as log:
            self.process = WarmProgram(
                sys.executable,
                *command,
                env=_environment(home, variables),
                cwd=PROJECT_ROOT,
                log=log,
            )

    def __enter__(self) -> Serve:
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @property
    def output(self) -> str:
        return self.log.read_text()

    def await_output(self, text: str, seconds: float = READY_SECONDS) -> None:
        await_condition(
            lambda: text in self.output or self.process.poll() is not None,
            f"{text!r} in {self.output}",
            seconds,
        )
        assert text in self.output, self.output

    def await_version(self, version: str, seconds: float = READY_SECONDS) -> None:
        await_condition(
            lambda: self.process.poll() is not None or self.version == version,
            f"version {version}",
            seconds,
        )
        assert self.process.poll() is None, self.output

    @property
    def version(self) -> str | None:
        """The version that answers now."""
        try:
            return self.ask("GET", f"/v2/models/{self.name}")[1]["versions"][0]
        except OSError:
            return None

    @property
    def server_pid(self) -> int:
        return json.loads((self.folder / "serving.json").read_text())["pid"]

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """Status and JSON of an answer."""
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.url + path, data, headers, method=method)
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                content, status = answer.read(), answer.status
        except urllib.error.HTTPError as error:
            content, status = error.read(), error.code
        return status, json.loads(content) if content else None

    def infer(self, body: Any, path: str = f"/v2/models/{NAME}/infer") -> tuple[int, Any]:
        return self.ask("POST", path, body)

    def predict(self, rows: list[list[float]]) -> list[float]:
        status, answer = self.infer(request_of(rows))
        assert status == 200, answer
        return answer["outputs"][0]["data"]


class Load:
    """Threads that ask for the same wine without pause, each on a connection that it keeps."""

    def __init__(self, port: int, row: list[float], threads: int = 4) -> None:
        self.answers: Counter[tuple[str, float]] = Counter()
        self.failures: list[str] = []
        self._port, self._body = port, json.dumps(request_of([row])).encode()
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [threading.Thread(target=self._ask) for _ in range(threads)]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join(60)

    @property
    def count(self) -> int:
        return sum(self.answers.values())

    def _ask(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        while not self._stop.is_set():
            try:
                connection.request("POST", f"/v2/models/{NAME}/infer", self._body)
                answer = connection.getresponse()
                content = json.loads(answer.read())
                if answer.status != 200:
                    raise ValueError(f"{answer.status} {content}")
                seen = content["model_version"], content["outputs"][0]["data"][0]
                with self._lock:
                    self.answers[seen] += 1
            except Exception as error:  # noqa: BLE001 - all that a client may see go wrong counts
                with self._lock:
                    self.failures.append(f"{type(error).__name__}: {error}")
                connection.close()


GRPC_CLIENT = """
import json, sys, threading
import grpc
from mlserver.grpc import dataplane_pb2 as pb
from mlserver.grpc.dataplane_pb2_grpc import GRPCInferenceServiceStub
target, columns, rows = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
options = [("grpc.max_receive_message_length", 1 << 26)]
stub = GRPCInferenceServiceStub(grpc.insecure_channel(target, options))
def request(rows, columns=columns):
    return pb.ModelInferRequest(model_name="ElasticnetWineModel", inputs=[
        pb.ModelInferRequest.InferInputTensor(name=name, datatype="FP64", shape=[len(rows)],
            contents=pb.InferTensorContents(fp64_contents=[row[i] for row in rows]))
        for i, name in enumerate(columns)])
"""


def over_grpc(python: Path, port: int, rows: list[list[float]], code: str) -> str:
    """Output of ``code``, run in a serving environment with a V2 ``stub`` and ``request``."""
    done = subprocess.run(
        [str(python), "-c", GRPC_CLIENT + code]
        + [f"127.0.0.1:{port}", json.dumps(list(FEATURES)), json.dumps(rows)],
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def serving_environment(key: str = "3") -> Path:
    """The interpreter of the environment that serves the models of a version."""
    from wine_quality.packaging.requirements import LOCKS
    from wine_quality.serving.environment import serving_python

    lock = (LOCKS / f"serving-{key}.txt").read_text()
    return serving_python(lock, MLFLOW_VERSIONS[key].pythons[0], print)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] not in "ZX"
    except OSError:
        return False


def await_count(load: Load, count: int, seconds: float = 120) -> None:
    """Until so many requests were answered, or one failed."""
    deadline = time.monotonic() + seconds
    while load.count < count and not load.failures:
        assert time.monotonic() < deadline, f"{load.count} answers in {seconds} s"
        time.sleep(0.05)
