"""Requests that hypothesis made up: the answer is the model's prediction of them, or a 4xx.

``WINE_QUALITY_FUZZ_EXAMPLES=20000 pytest wine_quality_tests/integration/test_serving_fuzz.py``
tries so many with each property, others each time; a failure is printed in full. Put its bytes into
``data/serving_corpus``.
"""

from __future__ import annotations

import copy
import gzip
import json
import math
import os
import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings
from hypothesis import strategies as st

from wine_quality.datasets.contract import FEATURES
from wine_quality_tests.support.model_server import INFER, WINE, Answer, ModelServer, assert_refused
from wine_quality_tests.support.serving import NAME, request_of

pytestmark = pytest.mark.slow
EXAMPLES = int(os.environ.get("WINE_QUALITY_FUZZ_EXAMPLES", "0"))
if EXAMPLES:
    pytestmark = [pytest.mark.slow, pytest.mark.timeout(24 * 3600)]


def fuzzed(examples: int) -> Callable[[Any], Any]:
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        phases=[Phase.generate, Phase.shrink],
        print_blob=False,
    )


@pytest.fixture(autouse=True)
def _well_afterwards(model_server):
    yield
    model_server.assert_well()


# What a client may think of.
FLOATS = st.floats(width=64)
ODD_NUMBERS = st.sampled_from(
    [0, -0.0, 5e-324, 1.8e308, -1.8e308, 2**53 + 1, 2**63, 2**64, -(2**63) - 1, 10**30, 10**400]
)
TEXT = st.text(st.characters(), max_size=8)  # lone surrogates too
SCALARS = FLOATS | ODD_NUMBERS | st.integers() | st.booleans() | st.none() | TEXT
JSON = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner), max_leaves=6
)
PLAIN_TEXT = st.text(max_size=8)
STRICT_JSON = st.recursive(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(-(2**63), 2**64 - 1)
    | st.booleans()
    | st.none()
    | PLAIN_TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(PLAIN_TEXT, inner),
    max_leaves=6,
)
NAMES = st.sampled_from([*FEATURES, "Alcohol", "alcohol ", "quality", "", "predict"]) | TEXT
DATATYPES = st.sampled_from(
    ["FP64", "FP32", "FP16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32"]
    + ["UINT64", "BOOL", "BYTES", "fp64", "FP65", "DT_DOUBLE", ""]
)
SIZES = st.sampled_from([0, 1, 2, 3, -1, 2**31, 2**63 - 1, -(2**63), 1000, 1001])
SHAPES = st.lists(SIZES, max_size=4) | st.sampled_from([[1], [2], [1, 1], [2, 1]])
VALUES = {
    "name": NAMES,
    "datatype": DATATYPES,
    "shape": SHAPES,
    "data": st.lists(SCALARS, max_size=4) | st.lists(st.lists(SCALARS, max_size=2), max_size=3),
    "parameters": st.dictionaries(st.sampled_from(["content_type", "headers", "a"]), JSON),
}
TOP = {
    "id": TEXT,
    "parameters": VALUES["parameters"],
    "outputs": st.lists(st.fixed_dictionaries({"name": NAMES}), max_size=3),
    "inputs": st.lists(JSON, max_size=3),
}
ROWS = st.lists(
    st.lists(st.floats(-1e3, 1e3) | st.integers(-100, 100), min_size=11, max_size=11),
    min_size=1,
    max_size=3,
)


@st.composite
def changed_requests(draw: st.DrawFn) -> dict[str, Any]:
    """A good request after one to three changes, each of a kind that a client may make."""
    request: dict[str, Any] = copy.deepcopy(request_of(draw(ROWS)))
    for _ in range(draw(st.integers(1, 3))):
        tensors = request.get("inputs")
        kind = draw(st.integers(0, 7))
        if kind == 0 or not isinstance(tensors, list) or not tensors:
            key = draw(st.sampled_from([*TOP, "more"]))
            request[key] = draw(TOP.get(key, JSON) | JSON)
            continue
        at = draw(st.integers(0, len(tensors) - 1))
        tensor = tensors[at]
        if kind == 1:
            tensors.pop(at)
        elif kind == 2:
            tensors.insert(draw(st.integers(0, len(tensors))), copy.deepcopy(tensor))
        elif kind == 3:
            request["inputs"] = draw(st.permutations(tensors))
        elif not isinstance(tensor, dict):
            tensors[at] = draw(JSON)
        elif kind == 4:
            tensor.pop(draw(st.sampled_from([*tensor])), None) if tensor else None
        elif kind == 5 and isinstance(tensor.get("data"), list) and tensor["data"]:
            row = draw(st.integers(0, len(tensor["data"]) - 1))
            tensor["data"][row] = draw(SCALARS | JSON)
        else:
            key = draw(st.sampled_from([*VALUES]))
            tensor[key] = draw(VALUES[key] | JSON)
    return request


@st.composite
def damaged(draw: st.DrawFn, good: bytes) -> bytes:
    """Bytes with a few cut out, put in, repeated or written over."""
    content = bytearray(good)
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = min(len(content), start + draw(st.integers(0, 20)))
        piece = draw(st.binary(max_size=6) | st.sampled_from(TOKENS))
        kind = draw(st.integers(0, 4))
        if kind == 0:
            del content[start:end]
        elif kind == 1:
            content[start:start] = piece
        elif kind == 2:
            content[start : start + len(piece)] = piece
        elif kind == 3:
            content[start:start] = content[start:end] * draw(st.integers(1, 30))
        else:
            del content[start:]
    return bytes(content)


TOKENS = [b"null", b"true", b"NaN", b"-Infinity", b"1e999", b'"', b"\\", b"\\ud800", b"[", b"]"]
TOKENS += [b"{", b"}", b":", b",", b"\0", b"\xff", b"\r\n", b"\r\n\r\n", b"-", b"0" * 30, b"e9"]
GOOD = json.dumps(request_of([WINE, WINE])).encode()


def rows_of(body: bytes) -> np.ndarray | None:
    """The content of a body by another parser; None unless it can be read in one way only."""
    try:
        found = json.loads(body.decode())
        columns = {tensor["name"]: tensor for tensor in found["inputs"]}
        if len(columns) != len(found["inputs"]) or set(columns) != set(FEATURES):
            return None
        return np.column_stack([list(_flat(columns[name])) for name in FEATURES])
    except (ValueError, LookupError, TypeError, OverflowError):
        return None


def _flat(tensor: dict[str, Any]) -> Iterator[float]:
    shape = tensor["shape"]
    data = tensor["data"]
    if shape not in ([len(data)], [len(data), 1]) or any(type(size) is not int for size in shape):
        raise ValueError("another number of values")
    for value in data:
        if isinstance(value, list):
            (value,) = value
        if type(value) not in (int, float) or not math.isfinite(float(value)):
            raise ValueError("no number")
        yield float(value)


def check_rest(server: ModelServer, body: bytes, answer: Answer) -> None:
    """The property."""
    event(f"status {answer.status}")
    if answer.status != 200:
        assert_refused(answer)
        return
    rows = rows_of(body)
    assert rows is not None, answer
    (output,) = answer.json["outputs"]
    assert (output["name"], output["datatype"]) == ("predict", "FP64")
    assert output["shape"] == [len(rows)]
    assert server.model.agrees(rows, output["data"])


@fuzzed(300)
@given(changed_requests(), st.booleans())
def test_a_request_with_changes(model_server, request_sent, ascii_only):
    text = json.dumps(request_sent, ensure_ascii=ascii_only)
    body = text.encode("utf-8", "surrogatepass")
    check_rest(model_server, body, model_server.infer(body))


@fuzzed(200)
@given(damaged(GOOD))
def test_a_body_with_damage(model_server, body):
    check_rest(model_server, body, model_server.infer(body))


@fuzzed(100)
@given(JSON)
def test_any_json(model_server, value):
    body = json.dumps(value).encode()
    check_rest(model_server, body, model_server.infer(body))


@fuzzed(100)
@given(ROWS, st.randoms(use_true_random=False), st.sampled_from([GOOD, b"{}"]))
def test_a_gzip_with_damage(model_server, rows, chance, other):
    body = json.dumps(request_of(rows)).encode()
    packed = bytearray(gzip.compress(body))
    for _ in range(chance.randint(0, 2)):
        packed[chance.randrange(len(packed))] ^= 1 << chance.randrange(8)
    packed += gzip.compress(other) * (chance.random() < 0.2)
    answer = model_server.infer(bytes(packed), content_encoding="gzip")
    check_rest(model_server, body, answer)


@fuzzed(60)
@given(ROWS, st.data())
def test_a_good_request_in_another_form(model_server, rows, data):
    """Refusing everything would be easy."""
    request = request_of(rows)
    for tensor in request["inputs"]:
        if data.draw(st.booleans()):
            tensor["shape"] = [len(rows), 1]
            if data.draw(st.booleans()):
                tensor["data"] = [[value] for value in tensor["data"]]
        tensor["datatype"] = data.draw(st.sampled_from(["FP64", "FP32", "INT64"]))
        if data.draw(st.booleans()):
            tensor["parameters"] = data.draw(st.none() | st.dictionaries(PLAIN_TEXT, STRICT_JSON))
    request["inputs"] = data.draw(st.permutations(request["inputs"]))
    request["more"] = data.draw(STRICT_JSON)
    body = json.dumps(request).encode()
    answer = model_server.infer(body)
    assert answer.status == 200, answer
    check_rest(model_server, body, answer)


HEAD = (
    f"POST {INFER} HTTP/1.1\r\nHost: wine:8080\r\nConnection: close\r\n"
    f"Content-Type: application/json\r\nAccept-Encoding: gzip\r\nX-Request-Id: 5\r\n"
)
WHOLE = [
    f"{HEAD}Content-Length: {len(GOOD)}\r\n\r\n".encode() + GOOD,
    f"{HEAD}Transfer-Encoding: chunked\r\n\r\n{len(GOOD):x}\r\n".encode() + GOOD + b"\r\n0\r\n\r\n",
    f"GET /v2/models/{NAME} HTTP/1.1\r\nHost: wine\r\nConnection: close\r\n\r\n".encode(),
]


@fuzzed(100)
@given(st.sampled_from(WHOLE), st.data())
def test_a_whole_request_with_damage(model_server, whole, data):
    head, blank, body = whole.partition(b"\r\n\r\n")
    content = data.draw(damaged(head + blank)) + body if data.draw(st.booleans()) else None
    answer = model_server.send_raw(content or data.draw(damaged(whole)), patience=0.05)
    if answer is None:
        event("closed")
        return
    event(f"status {answer.status}")
    assert isinstance(answer.status, int) and answer.status < 500, answer
    if answer.status >= 400 and answer.body:
        assert_refused(answer)


# gRPC: the same with messages.
CONTENTS = {
    "FP64": "fp64_contents",
    "FP32": "fp32_contents",
    "INT8": "int_contents",
    "INT16": "int_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT8": "uint_contents",
    "UINT16": "uint_contents",
    "UINT32": "uint_contents",
    "UINT64": "uint64_contents",
}
RAW = {"FP64": "d", "FP32": "f", "FP16": "e", "INT8": "b", "INT16": "h", "INT32": "i"}
RAW |= {"INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I", "UINT64": "Q"}
FIELDS: dict[str, st.SearchStrategy[Any]] = {
    "fp64_contents": FLOATS,
    "fp32_contents": st.floats(width=32),
    "int_contents": st.integers(-(2**31), 2**31 - 1),
    "int64_contents": st.integers(-(2**63), 2**63 - 1),
    "uint_contents": st.integers(0, 2**32 - 1),
    "uint64_contents": st.integers(0, 2**64 - 1),
    "bool_contents": st.booleans(),
    "bytes_contents": st.binary(max_size=5),
}


def change_message(data: st.DataObject, request: Any) -> None:
    kind = data.draw(st.integers(0, 9))
    if kind == 0:
        request.model_name = data.draw(st.sampled_from([NAME, "Cheese"]) | PLAIN_TEXT)
        request.model_version = data.draw(st.sampled_from(["", "1", "2"]) | PLAIN_TEXT)
    elif kind == 1:
        name = data.draw(st.sampled_from(["content_type", "headers", "self"]) | PLAIN_TEXT)
        request.parameters[name].string_param = data.draw(PLAIN_TEXT)
    elif kind == 2:
        request.outputs.add(name=data.draw(st.just("predict") | PLAIN_TEXT))
    elif kind == 3:
        request.raw_input_contents.append(data.draw(st.binary(max_size=24)))
    if not request.inputs:
        return
    at = data.draw(st.integers(0, len(request.inputs) - 1))
    tensor = request.inputs[at]
    if kind == 4:
        request.inputs.pop(at)
    elif kind == 5:
        request.inputs.append(tensor)
    elif kind == 6:
        tensor.name = data.draw(st.sampled_from([*FEATURES, "Alcohol"]) | PLAIN_TEXT)
    elif kind == 7:
        tensor.ClearField("shape")
        tensor.shape.extend(data.draw(SHAPES))
    elif kind == 8:
        tensor.datatype = data.draw(DATATYPES)
    elif kind == 9:
        field = data.draw(st.sampled_from([*FIELDS]))
        if data.draw(st.booleans()):
            tensor.ClearField("contents")
        getattr(tensor.contents, field).extend(data.draw(st.lists(FIELDS[field], max_size=3)))


def rows_of_message(request: Any) -> np.ndarray | None:
    """As ``rows_of``, for a message."""
    columns = {tensor.name: at for at, tensor in enumerate(request.inputs)}
    raw = request.raw_input_contents
    if len(columns) != len(request.inputs) or set(columns) != set(FEATURES):
        return None
    if raw and len(raw) != len(request.inputs):
        return None
    found = []
    for name in FEATURES:
        tensor = request.inputs[columns[name]]
        filled = [field.name for field, _ in tensor.contents.ListFields()]
        if filled != ([] if raw else [CONTENTS.get(tensor.datatype)]):
            return None
        if raw:
            content, code = raw[columns[name]], RAW[tensor.datatype]
            numbers = [number for (number,) in struct.iter_unpack(f"<{code}", content)]
        else:
            numbers = list(getattr(tensor.contents, filled[0]))
        if list(tensor.shape) not in ([len(numbers)], [len(numbers), 1]):
            return None
        found.append(np.array(numbers, dtype=np.float64))
    return np.column_stack(found)


def check_grpc(server: ModelServer, content: bytes, answer: Answer) -> None:
    event(f"status {answer.status}")
    if answer.status != "OK":
        assert_refused(answer)
        return
    rows = rows_of_message(server.messages.ModelInferRequest.FromString(content))
    assert rows is not None
    assert server.model.agrees(rows, server.predicted(answer))


@fuzzed(250)
@given(ROWS, st.booleans(), st.integers(1, 3), st.data())
def test_a_message_with_changes(model_server, rows, as_raw, changes, data):
    request = model_server.grpc_request(rows)
    if as_raw:
        for tensor in request.inputs:
            numbers = tensor.contents.fp64_contents
            request.raw_input_contents.append(struct.pack(f"<{len(numbers)}d", *numbers))
            tensor.ClearField("contents")
    for _ in range(changes):
        change_message(data, request)
    content = request.SerializeToString()
    check_grpc(model_server, content, model_server.call("ModelInfer", content))


@fuzzed(200)
@given(st.data())
def test_a_message_with_damage(model_server, data):
    content = data.draw(damaged(model_server.grpc_request([WINE]).SerializeToString()))
    check_grpc(model_server, content, model_server.call("ModelInfer", content))


@fuzzed(100)
@given(
    st.sampled_from(["ServerLive", "ModelReady", "ModelMetadata", "RepositoryModelUnload", "Wine"]),
    st.binary(max_size=100),
)
def test_any_bytes_to_any_method(model_server, method, content):
    answer = model_server.call(method, content)
    event(f"status {answer.status}")
    if answer.status != "OK":
        assert_refused(answer)
