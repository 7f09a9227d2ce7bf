"""A model server as a process by itself, without registry or supervisor, and requests to it."""

from __future__ import annotations

import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MODEL_PACKAGES
from wine_quality.packaging.repository import write_repository
from wine_quality.packaging.requirements import LOCKS
from wine_quality.packaging.served_model import read_model
from wine_quality_tests.support.servers import await_condition, free_port
from wine_quality_tests.support.serving import NAME, request_of, serving_environment
from wine_quality_tests.support.warm_programs import WarmProgram

INFER = f"/v2/models/{NAME}/infer"
SERVICE = "/inference.GRPCInferenceService/"
READY_SECONDS = 90
ANSWER_SECONDS = 30
IDLE_SECONDS = 2
WINE = [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4]


@dataclass(frozen=True)
class Answer:
    """Of either protocol: ``status`` is HTTP's number or gRPC's name."""

    status: int | str
    body: bytes
    media_type: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> str:
        """The sentence in it; fails unless it is the one key of a JSON object."""
        content = self.json
        assert list(content) == ["error"], content
        return content["error"]


_TELLTALES = re.compile(r'Traceback|File "|site-packages|\.py\b|/home/|/root/|/tmp/|\n')
REFUSALS = (
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "FAILED_PRECONDITION",
    "PERMISSION_DENIED",
    "RESOURCE_EXHAUSTED",
    "UNIMPLEMENTED",
)
"""gRPC's status codes for faults of the client."""


def assert_refused(answer: Answer, status: int | str | None = None, *words: str) -> None:
    """A client's fault, told in a sentence that holds these words and nothing of the server."""
    reply = (answer.status, answer.body[:2000])
    if status is not None:
        assert answer.status == status, reply
    elif isinstance(answer.status, int):
        assert 400 <= answer.status < 500, reply
    else:
        assert answer.status in REFUSALS, reply
    sentence = answer.error
    assert sentence and len(sentence) <= 2001, reply
    assert not _TELLTALES.search(sentence), reply
    for word in words:
        assert word in sentence, (word, reply)


class Regressor:
    """An elastic net on the packaged wines, as MLflow keeps it; ``predict`` is scikit-learn's."""

    def __init__(self, folder: Path) -> None:
        import mlflow.sklearn
        import pandas as pd
        from mlflow.models.signature import infer_signature

        from wine_quality.models.elastic_net.fit import fit_elastic_net
        from wine_quality.paths import PACKAGED_RED_WINE

        wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")
        example = wines[list(FEATURES)].head(2).astype("float64")
        self._estimator = fit_elastic_net(wines, alpha=0.0001, l1_ratio=0.5)
        mlflow.sklearn.save_model(
            self._estimator,
            str(folder),
            signature=infer_signature(example, self._estimator.predict(example)),
            input_example=example,
            serialization_format="skops",
            skops_trusted_types=None,
            pip_requirements=_requirements(),
        )
        self.files = folder

    def predict(self, rows: Any) -> np.ndarray:
        """float64 (n,) for float64 (n, 11) in the order of ``FEATURES``."""
        import pandas as pd

        return self._estimator.predict(pd.DataFrame(rows, columns=list(FEATURES)))

    def agrees(self, rows: Any, predicted: list[float]) -> bool:
        """Whether that is what it predicts, up to the rounding of sums of such size."""
        rows = np.asarray(rows, dtype=np.float64)
        size = np.abs(rows) @ np.abs(self._estimator.coef_) + abs(self._estimator.intercept_)
        return len(predicted) == len(rows) and bool(
            (np.abs(self.predict(rows) - predicted) <= 1e-12 * size).all()
        )


def _requirements() -> list[str]:
    from importlib.metadata import PackageNotFoundError, version

    pins = []
    for name in MODEL_PACKAGES:
        try:
            pins.append(f"{name}=={version(name)}")
        except PackageNotFoundError:
            continue
    return pins


def _all_of(connection: socket.socket) -> bytes:
    output = bytearray()
    while True:
        try:
            received = connection.recv(1 << 16)
        except TimeoutError:
            connection.settimeout(ANSWER_SECONDS)
            try:
                connection.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # closed meanwhile; what it said can still be read
            continue
        except ConnectionError:
            return bytes(output)
        if not received:
            return bytes(output)
        output += received


def last_answer(answer: bytes) -> Answer | None:
    """Of what a server said on a connection, such as ``100 Continue`` and then an answer."""
    last = None
    while answer:
        head, blank, rest = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        found = re.fullmatch(r"HTTP/1\.[01] (\d{3}) .*", first)
        assert found and blank, answer[:500]
        headers = dict(line.lower().split(": ", 1) for line in lines)
        size = int(headers.get("content-length", 0))
        last = Answer(int(found[1]), rest[:size], headers.get("content-type", ""))
        answer = rest[size:]
    return last


class ModelServer:
    """``python -m wine_quality_runtime.server``; use it as a context."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.model = Regressor(folder / "model")
        lock = (LOCKS / "serving-3.txt").read_text()
        described = read_model(self.model.files, NAME, "1", "0" * 32)
        self.place = write_repository(described, self.model.files, lock, folder / "models")
        self._python = serving_environment()
        self.port, self.grpc_port, self.metrics_port = free_port(), free_port(), free_port()
        self.log = folder / "server.log"
        self._variables = variables
        self._connection: http.client.HTTPConnection | None = None
        self._asked_at = 0.0

    def __enter__(self) -> ModelServer:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        own = {
            "PYTHONPATH": str(self.place),
            "PYTHONDONTWRITEBYTECODE": "1",
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_HTTP_PORT": str(self.port),
            "MLSERVER_GRPC_PORT": str(self.grpc_port),
            "MLSERVER_METRICS_PORT": str(self.metrics_port),
        }
        with self.log.open("wb") as log:
            self.process = WarmProgram(
                self._python,
                *("-m", "wine_quality_runtime.server", str(self.place.parent)),
                env={**kept, **own, **self._variables},
                cwd=self.place,
                log=log,
            )
        await_condition(self._is_ready, f"the server: {self.log}", READY_SECONDS)
        return self

    def __exit__(self, *_: object) -> None:
        self.forget_connection()
        self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _is_ready(self) -> bool:
        assert self.process.poll() is None, self.log.read_text()
        try:
            return self.ask("GET", f"/v2/models/{NAME}/ready").status == 200
        except OSError:
            return False

    @property
    def peak_bytes(self) -> int:
        """The most memory that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) * 1024

    @property
    def metrics(self) -> str:
        address = f"http://127.0.0.1:{self.metrics_port}/metrics"
        with urllib.request.urlopen(address, timeout=ANSWER_SECONDS) as answer:
            return answer.read().decode()

    def assert_well(self) -> None:
        """It lives, predicts right and had no error of its own."""
        assert self.process.poll() is None, self.log.read_text()
        assert self.still_predicts()
        assert "Traceback" not in self.log.read_text(), self.log.read_text()[-5000:]

    def forget_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def ask(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        """One request on a connection that is kept; names in ``headers`` with _ for -."""
        if time.monotonic() - self._asked_at > IDLE_SECONDS:  # the server may be closing it
            self.forget_connection()
        if self._connection is None:
            self._connection = http.client.HTTPConnection(
                "127.0.0.1", self.port, timeout=ANSWER_SECONDS
            )
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            self._connection.request(method, path, body, named)
            answer = self._connection.getresponse()
            content = answer.read()
            self._asked_at = time.monotonic()
        except (OSError, http.client.HTTPException):
            self.forget_connection()
            raise
        return Answer(answer.status, content, answer.getheader("content-type", ""))

    def infer(self, body: Any, path: str = INFER, **headers: str) -> Answer:
        """``body`` as it is when it is bytes, else as JSON."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.ask("POST", path, data, **headers)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS)

    def send_raw(self, content: bytes, patience: float = ANSWER_SECONDS) -> Answer | None:
        """The last answer on a connection of its own; None if it was closed without one.

        Args:
            patience: Seconds of silence after which the client says that it has sent everything.
        """
        with self.connect() as connection:
            try:
                connection.sendall(content)
            except ConnectionError:
                pass  # what was answered before can still be read
            connection.settimeout(patience)
            return last_answer(_all_of(connection))

    def still_predicts(self) -> bool:
        """Whether REST and gRPC answer with the model's number."""
        rest = self.infer(request_of([WINE]))
        over_grpc = self.call("ModelInfer", self.grpc_request([WINE]))
        return (
            rest.status == 200
            and self.model.agrees([WINE], rest.json["outputs"][0]["data"])
            and over_grpc.status == "OK"
            and self.model.agrees([WINE], self.predicted(over_grpc))
        )

    @cached_property
    def messages(self) -> ModuleType:
        """The protocol's messages, from the server's environment; they need protobuf alone."""
        (file,) = self._python.parents[1].glob("lib/*/site-packages/mlserver/grpc/dataplane_pb2.py")
        spec = importlib.util.spec_from_file_location("dataplane_pb2", file)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    @cached_property
    def _channel(self) -> Any:
        import grpc

        return grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}",
            [("grpc.max_send_message_length", -1), ("grpc.max_receive_message_length", -1)],
        )

    def grpc_request(self, rows: list[list[float]], name: str = NAME) -> Any:
        """The V2 request for wines, in the order of ``FEATURES``."""
        request = self.messages.ModelInferRequest(model_name=name)
        for position, column in enumerate(FEATURES):
            tensor = request.inputs.add(name=column, datatype="FP64", shape=[len(rows)])
            tensor.contents.fp64_contents.extend(row[position] for row in rows)
        return request

    def call(self, method: str, request: Any, service: str = SERVICE, **options: Any) -> Answer:
        """A unary call; ``request`` is a message or the bytes of one."""
        import grpc

        content = request if isinstance(request, bytes) else request.SerializeToString()
        ask = self._channel.unary_unary(service + method)
        try:
            return Answer("OK", ask(content, timeout=ANSWER_SECONDS, **options))
        except grpc.RpcError as error:
            status = error.code().name  # type: ignore[attr-defined]
            message = error.details() or ""  # type: ignore[attr-defined]
            return Answer(status, json.dumps({"error": message}).encode())

    def call_stream(self, method: str, requests: list[bytes], service: str = SERVICE) -> Answer:
        """A call that streams both ways; the last answer."""
        import grpc

        ask = self._channel.stream_stream(service + method)
        try:
            answers = list(ask(iter(requests), timeout=ANSWER_SECONDS))
            return Answer("OK", answers[-1] if answers else b"")
        except grpc.RpcError as error:
            status = error.code().name  # type: ignore[attr-defined]
            message = error.details() or ""  # type: ignore[attr-defined]
            return Answer(status, json.dumps({"error": message}).encode())

    def predicted(self, answer: Answer) -> list[float]:
        """The numbers of a ModelInfer answer, given as contents or raw."""
        found = self.messages.ModelInferResponse.FromString(answer.body)
        if found.raw_output_contents:
            return np.frombuffer(found.raw_output_contents[0], "<f8").tolist()
        return list(found.outputs[0].contents.fp64_contents)
