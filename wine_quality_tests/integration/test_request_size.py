"""Requests with more parts than any has: refused before they are parsed, so that whoever asks
meanwhile gets an answer."""

from __future__ import annotations

import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality_tests.support.model_server import WINE, ModelServer, assert_refused
from wine_quality_tests.support.serving import request_of

pytestmark = pytest.mark.slow
MOST = 32 * (1 << 20) - 64
LONGEST_SECONDS = 1.0
"""For a health check; unlike a prediction it takes a millisecond when nothing is in its way."""


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[ModelServer]:
    """With the limits that people have."""
    with ModelServer(tmp_path_factory.mktemp("request-size")) as running:
        yield running


class HealthChecks:
    """Asks without pause, each time on a new connection; knows the longest wait."""

    def __init__(self, server: ModelServer) -> None:
        self._url = f"http://127.0.0.1:{server.port}/v2/health/live"
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self.longest, self.number = 0.0, 0

    def __enter__(self) -> HealthChecks:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _ask(self) -> None:
        while not self._over.is_set():
            began = time.monotonic()
            with urllib.request.urlopen(self._url, timeout=30):
                pass
            self.longest = max(self.longest, time.monotonic() - began)
            self.number += 1


def repeated(what: bytes) -> bytes:
    return b'{"inputs":[' + b",".join([what] * (MOST // (len(what) + 1))) + b"]}"


def tensors() -> bytes:
    """700,000 of them in 33 MB."""
    return repeated(b'{"name":"","shape":[],"datatype":"","data":[]}')


def keys() -> bytes:
    return b"{" + b",".join(b'"%x":1' % number for number in range(MOST // 12)) + b"}"


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (tensors, "more than 1000 JSON objects"),
        (lambda: repeated(b"[]"), "JSON lists"),
        (lambda: repeated(b"1"), "JSON values"),
        (keys, "JSON keys"),
    ],
    ids=["tensors", "lists", "values", "keys"],
)
def test_a_request_of_too_many_parts(server, body: Callable[[], bytes], expected: str):
    content = body()
    with HealthChecks(server) as checks:
        assert_refused(server.infer(content), 400, expected)
    assert checks.number and checks.longest < LONGEST_SECONDS
    server.assert_well()


def field(number: int, content: bytes) -> bytes:
    """One of a protobuf message."""
    length, size = b"", len(content)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        (lambda: field(5, b"") * (MOST // 2), "more than 1000 fields"),
        (lambda: field(5, field(4, b"") * (MOST // 2)), "more than 1000 fields"),
        (lambda: field(5, field(5, b"\x18\x01" * (MOST // 2))), "more than 1000 fields"),
        (lambda: field(5, field(3, b"\x01" * MOST)), "numbers"),
        (lambda: field(5, field(5, field(3, b"\x01" * MOST))), "numbers"),
    ],
    ids=["tensors", "parameters", "unpacked", "shape", "integers"],
)
def test_a_message_of_too_many_parts(server, message: Callable[[], bytes], expected: str):
    content = message()[: MOST + 32]
    with HealthChecks(server) as checks:
        assert_refused(server.call("ModelInfer", content), "INVALID_ARGUMENT", expected)
    assert checks.number and checks.longest < LONGEST_SECONDS
    server.assert_well()


def test_the_largest_batch_is_answered(server):
    """In each form that numbers may come in."""
    rows = [WINE] * 100_000
    plain = request_of(rows)
    nested: dict[str, Any] = {
        "inputs": [
            {**one, "shape": [len(rows), 1], "data": [[value] for value in one["data"]]}
            for one in plain["inputs"]
        ]
    }
    for request in (plain, nested):
        assert server.infer(request).status == 200
    message = server.grpc_request(rows)
    for position, column in enumerate(FEATURES):
        whole = WINE[position] == int(WINE[position])
        if whole and column != "citric acid":
            message.inputs[position].datatype = "INT64"
            message.inputs[position].ClearField("contents")
            message.inputs[position].contents.int64_contents.extend([int(WINE[position])] * 100_000)
    assert server.call("ModelInfer", message).status == "OK"
