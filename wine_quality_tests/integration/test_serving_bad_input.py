"""A model server's answers over HTTP to bad requests. See also ``…_bad_messages``."""

from __future__ import annotations

import copy
import gzip
import json
import socket
import struct
import time
from pathlib import Path
from typing import Any

import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality_tests.support.model_server import (
    INFER,
    WINE,
    Answer,
    ModelServer,
    assert_refused,
    last_answer,
)
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.serving import NAME, request_of

pytestmark = pytest.mark.slow
CORPUS = Path(__file__).parents[1] / "data" / "serving_corpus"
GOOD = request_of([WINE])
ALCOHOL = len(FEATURES) - 1
MIB = 1 << 20


@pytest.fixture(autouse=True)
def _well_afterwards(model_server):
    yield
    model_server.assert_well()


def alcohol(**changes: Any) -> dict[str, Any]:
    """The good request, but for its last tensor."""
    request = copy.deepcopy(GOOD)
    request["inputs"][ALCOHOL].update(changes)
    return request


def without(key: str) -> dict[str, Any]:
    request = copy.deepcopy(GOOD)
    del request["inputs"][ALCOHOL][key]
    return request


def literal(text: str) -> bytes:
    """The good request with this as alcohol's number."""
    return json.dumps(alcohol(data=["@"])).replace('"@"', text).encode()


def nested(depth: int) -> str:
    return "[" * depth + "9.4" + "]" * depth


NUMBERED = list(enumerate(GOOD["inputs"]))
EXTRA = {"name": "colour", "shape": [1], "datatype": "FP64", "data": [1.0]}
MANY = [{"name": f"{n}", "shape": [], "datatype": "", "data": 0} for n in range(15_000)]
BODIES: dict[str, tuple[Any, str]] = {
    "a missing column": ({"inputs": GOOD["inputs"][:ALCOHOL]}, "missing: 'alcohol'"),
    "an extra column": ({"inputs": [*GOOD["inputs"], EXTRA]}, "unknown: 'colour'"),
    "a misnamed column": (alcohol(name="Alcohol"), "missing: 'alcohol'; unknown: 'Alcohol'"),
    "a doubled column": ({"inputs": [*GOOD["inputs"], GOOD["inputs"][0]]}, "given twice: 'fixed"),
    "hundreds of columns": ({"inputs": [*MANY[:900], MANY[0]]}, "given twice: '0'"),
    "thousands of columns": ({"inputs": MANY}, "more than 1000 JSON objects"),
    "an empty object": ({"inputs": [{}]}, "input 0 has no name"),
    "no columns": ({"inputs": []}, "missing: 'fixed acidity'"),
    "a long name": (alcohol(name="ä" * 100_000), "missing: 'alcohol'"),
    "a name that is a number": (alcohol(name=5), "the name of input 10 must be text, not 5"),
    "a tensor without name": (without("name"), "input 10 has no name"),
    "a tensor without shape": (without("shape"), "column 'alcohol' has no shape"),
    "a tensor without datatype": (without("datatype"), "column 'alcohol' has no datatype"),
    "a tensor without data": (without("data"), "column 'alcohol' has no data"),
    "a tensor that is null": ({"inputs": [None]}, "input 0 is None"),
    "inputs missing": ({}, "`inputs` must be a list"),
    "inputs an object": ({"inputs": {"alcohol": 9.4}}, "`inputs` must be a list"),
    "datatype BYTES": (alcohol(datatype="BYTES"), "column 'alcohol' has datatype 'BYTES'"),
    "datatype BOOL": (alcohol(datatype="BOOL"), "column 'alcohol' has datatype 'BOOL'"),
    "datatype of another protocol": (alcohol(datatype="DT_DOUBLE"), "'alcohol' has datatype"),
    "datatype a number": (alcohol(datatype=64), "column 'alcohol' has datatype 64"),
    "text": (alcohol(data=["9.4"]), "column 'alcohol' holds '9.4' in row 0"),
    "null": (alcohol(data=[None]), "column 'alcohol' holds None in row 0"),
    "a boolean": (alcohol(data=[True]), "column 'alcohol' holds True in row 0"),
    "an object": (alcohol(data=[{"x": 1}]), "column 'alcohol' holds {'x': 1} in row 0"),
    "data a number": (alcohol(data=9.4), "the data of column 'alcohol' must be a list"),
    "data null": (alcohol(data=None), "the data of column 'alcohol' must be a list"),
    "pairs": (alcohol(data=[[9.4, 9.5]]), "column 'alcohol' must hold one number per row"),
    "nested lists": (alcohol(data=[[[9.4]]]), "column 'alcohol' holds [9.4] in row 0"),
    "lists nested 1000 deep": (literal(nested(1000)), "column 'alcohol' holds [[[...]]]"),
    "NaN": (literal("NaN"), "column 'alcohol' holds nan in row 0"),
    "Infinity": (literal("Infinity"), "column 'alcohol' holds inf in row 0"),
    "-Infinity": (literal("-Infinity"), "column 'alcohol' holds -inf in row 0"),
    "1e999": (literal("1e999"), "column 'alcohol' holds inf in row 0"),
    "10**400": (literal("1" + "0" * 400), "number is infinity"),
    "10**5000": (literal("1" + "0" * 5000), "number is infinity"),
    "a prediction beyond float64": (
        {"inputs": [{**tensor, "data": [1.7e308 * (i in (1, 4))]} for i, tensor in NUMBERED]},
        "row 0 is too large",
    ),
    "an empty batch": (request_of([]), "the batch is empty"),
    "ragged columns": (alcohol(shape=[2], data=[9.4, 9.5]), "'alcohol' has shape [2], but 'fixed"),
    "fewer values than the shape says": (alcohol(data=[]), "'alcohol' holds 0 values; its shape"),
    "more values than the shape says": (alcohol(data=[9.4] * 3), "'alcohol' holds 3 values"),
    "a negative shape": (alcohol(shape=[-1]), "column 'alcohol' has shape [-1]"),
    "an absurd shape": (alcohol(shape=[2**62]), "column 'alcohol' has shape [4611686018"),
    "a shape beyond 64 bits": (alcohol(shape=[10**30]), "column 'alcohol' has shape [1e+30]"),
    "a shape of halves": (alcohol(shape=[1.5]), "column 'alcohol' has shape [1.5]"),
    "a shape of text": (alcohol(shape=["1"]), "column 'alcohol' has shape ['1']"),
    "a shape that is null": (alcohol(shape=None), "column 'alcohol' has shape None"),
    "no dimension": (alcohol(shape=[]), "column 'alcohol' has shape []"),
    "a shape of two columns": (alcohol(shape=[1, 2]), "column 'alcohol' has shape [1, 2]"),
    "a thousand dimensions": (alcohol(shape=[1] * 1000), "column 'alcohol' has shape [1, 1, 1"),
    "the first shape absurd": (
        {"inputs": [{**GOOD["inputs"][0], "shape": [10**18]}, *GOOD["inputs"][1:]]},
        f"the batch has {10**18} rows; 1000 are the most",
    ),
    "more rows than the limit": (request_of([WINE] * 1001), "1001 rows; 1000 are the most"),
    "an unknown output": (GOOD | {"outputs": [{"name": "quality"}]}, "no output 'quality'"),
    "outputs no list": (GOOD | {"outputs": "predict"}, "`outputs` must be a list"),
    "an output without name": (GOOD | {"outputs": [{}]}, "output 0 is {}"),
    "an id that is a number": (GOOD | {"id": 5}, "`id` must be text, not 5"),
    "parameters no object": (GOOD | {"parameters": []}, "parameters of the request must be"),
    "a column's parameters": (alcohol(parameters="pd"), "parameters of column 'alcohol' must be"),
    "an empty body": (b"", "the body is not JSON"),
    "blanks": (b" \n ", "the body is not JSON"),
    "half a body": (json.dumps(GOOD).encode()[:-20], "the body is not JSON"),
    "two bodies": (json.dumps(GOOD).encode() * 2, "the body is not JSON"),
    "a comma too many": (b'{"inputs": [],}', "the body is not JSON"),
    "a list": (b"[]", "the body must be a JSON object"),
    "a long id": (GOOD | {"id": "ä" * 100_000, "inputs": []}, "missing: 'fixed acidity'"),
    "a number": (b"5", "the body must be a JSON object"),
    "invalid UTF-8": (
        json.dumps(alcohol(name="@")).encode().replace(b"@", b"\xff\xfe"),
        "not JSON",
    ),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), "the body is not JSON"),
    "a byte order mark": (b"\xef\xbb\xbf" + json.dumps(GOOD).encode(), "the body is not JSON"),
    "a lone surrogate": (json.dumps(alcohol(name="\ud800")).encode(), "the body is not JSON"),
    "brackets nested 10,000 deep": (b"[" * 10_000, "the body is not JSON"),
    "brackets nested 500,000 deep": (b"[" * 500_000, "JSON lists"),
    "a pickle": (b"\x80\x04\x95\x00\x00\x00\x00.", "the body is not JSON"),
}


@pytest.mark.parametrize("case", BODIES)
def test_a_body(model_server, case):
    body, words = BODIES[case]
    started = time.monotonic()
    assert_refused(model_server.infer(body), 400, words)
    assert time.monotonic() - started < 3  # a server that works on a refusal serves nobody


GOOD_TOO: dict[str, Any] = {
    "shuffled": {"inputs": GOOD["inputs"][::-1]},
    "as MLflow's clients send it": GOOD | {"parameters": {"content_type": "pd"}},
    "nested in rows": alcohol(shape=[1, 1], data=[[9.4]]),
    "FP32": alcohol(datatype="FP32"),
    "the output by its name": GOOD | {"outputs": [{"name": "predict"}]},
    "unknown keys": GOOD | {"more": [1, {"a": None}]},
    "parameters of any kind": GOOD | {"parameters": {"headers": 5, "content_type": []}},
    "deep parameters": json.dumps(GOOD | {"parameters": {"a": "@"}}).replace('"@"', nested(900)),
}


@pytest.mark.parametrize("case", GOOD_TOO)
def test_a_body_that_is_right(model_server, case):
    body = GOOD_TOO[case]
    answer = model_server.infer(body.encode() if isinstance(body, str) else body)
    assert answer.status == 200, answer
    assert model_server.model.agrees([WINE], answer.json["outputs"][0]["data"])


@pytest.mark.parametrize("number", [2**63, 2**64 + 1, -(2**70), 10**300])
def test_an_integer_beyond_64_bits_is_a_number(model_server, number):
    answer = model_server.infer(alcohol(data=[number]))
    assert answer.status == 200, answer
    wine = [*WINE[:ALCOHOL], float(number)]
    assert model_server.model.agrees([wine], answer.json["outputs"][0]["data"])


PACKED = gzip.compress(json.dumps(GOOD).encode())
ENCODED = {
    "gzip of nothing": ("gzip", gzip.compress(b""), 400, "the body is not JSON"),
    "no gzip at all": ("gzip", json.dumps(GOOD).encode(), 400, "the body is not gzip"),
    "an empty body as gzip": ("gzip", b"", 400, "ends too early"),
    "a truncated gzip": ("gzip", PACKED[:-5], 400, "ends too early"),
    "a damaged gzip": ("gzip", PACKED[:40] + b"\0\0\0\0" + PACKED[44:], 400, "not gzip"),
    "a wrong checksum": ("gzip", PACKED[:-8] + b"\0" * 8, 400, "the body is not gzip"),
    "two gzips": ("gzip", PACKED + PACKED, 400, "goes on after the end of its gzip"),
    "a gzip bomb": ("gzip", gzip.compress(bytes(200 * MIB)), 413, f"larger than {MIB} bytes"),
    "gzip that says nothing of it": ("identity", PACKED, 400, "the body is not JSON"),
    "gzip twice": ("gzip, gzip", gzip.compress(PACKED), 415, "'gzip, gzip' is unknown"),
    "deflate": ("deflate", PACKED, 415, "content-encoding 'deflate' is unknown"),
    "brotli": ("br", PACKED, 415, "content-encoding 'br' is unknown"),
}


@pytest.mark.parametrize("case", ENCODED)
def test_an_encoded_body(model_server, case):
    encoding, body, status, words = ENCODED[case]
    before = model_server.peak_bytes
    answer = model_server.infer(body, content_encoding=encoding)
    assert_refused(answer, status, words)
    assert model_server.peak_bytes - before < 16 * MIB


def test_gzip_is_unpacked(model_server):
    answer = model_server.infer(PACKED, content_encoding="GZip")
    assert answer.status == 200
    assert model_server.model.agrees([WINE], answer.json["outputs"][0]["data"])


VERSION = f"/v2/models/{NAME}/versions"
CALLS = {
    "an unknown model": ("POST", "/v2/models/Cheese/infer", 404, "Model Cheese not found"),
    "an unknown version": ("POST", f"{VERSION}/7/infer", 404, f"{NAME} with version 7 not found"),
    "a version that is not a number": ("POST", f"{VERSION}/%00/infer", 404, "not found"),
    "metadata of an unknown model": ("GET", "/v2/models/Cheese", 404, "Model Cheese not found"),
    "metadata of an unknown version": ("GET", f"{VERSION}/7", 404, "version 7 not found"),
    "an unknown model's readiness": ("GET", "/v2/models/Cheese/ready", 404, "Cheese not found"),
    "an unknown model's document": ("GET", "/v2/models/Cheese/docs", 404, "Cheese not found"),
    "a long name": ("POST", f"/v2/models/{'n' * 5000}/infer", 404, "Model nnn"),
    "bytes for a name": ("POST", "/v2/models/%ff%fe%00/infer", 404, "not found"),
    "a line break in a name": ("GET", "/v2/models/a%0Ab/ready", 404, "Model a\\nb not found"),
    "a line break in a path": ("GET", "/a%0D%0Ab", 404, "GET /a\\r\\nb: Not Found"),
    "a way up": ("POST", "/v2/models/..%2f..%2f..%2fetc/infer", 404, "Not Found"),
    "an unknown path": ("GET", "/v3", 404, "GET /v3: Not Found"),
    "a slash at the end": ("POST", INFER + "/", 404, f"{NAME}/infer/: Not Found"),
    "no path": ("GET", "/", 404, "GET /: Not Found"),
    "a long path": ("GET", "/" + "a" * 50_000, 404, "Not Found"),
    "the wrong method": ("GET", INFER, 405, f"GET {INFER}: Method Not Allowed"),
    "PUT": ("PUT", INFER, 405, "Method Not Allowed"),
    "DELETE": ("DELETE", f"/v2/models/{NAME}", 405, "Method Not Allowed"),
    "OPTIONS": ("OPTIONS", INFER, 405, "Method Not Allowed"),
    "TRACE": ("TRACE", INFER, 405, "Method Not Allowed"),
    "POST to readiness": ("POST", "/v2/health/ready", 405, "Method Not Allowed"),
    "the repository": ("POST", "/v2/repository/index", 404, "Not Found"),
    "loading": ("POST", f"/v2/repository/models/{NAME}/load", 404, "Not Found"),
    "unloading": ("POST", f"/v2/repository/models/{NAME}/unload", 404, "Not Found"),
    "generate": ("POST", f"/v2/models/{NAME}/generate", 404, "generate: Not Found"),
    "generate_stream": ("POST", f"/v2/models/{NAME}/generate_stream", 404, "Not Found"),
    "infer_stream": ("POST", f"/v2/models/{NAME}/infer_stream", 404, "Not Found"),
}


@pytest.mark.parametrize("case", CALLS)
def test_a_call(model_server, case):
    method, path, status, words = CALLS[case]
    body = None if method == "GET" else json.dumps(GOOD).encode()
    assert_refused(model_server.ask(method, path, body), status, words)


def post(*headers: str, body: bytes = b"") -> bytes:
    lines = [f"POST {INFER} HTTP/1.1", "Host: wine", "Connection: close", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks)


NO_HTTP = "not an HTTP/1.1 request"
CHUNKED = "Transfer-Encoding: chunked"
BYTES_LIMIT = f"the body is larger than {MIB} bytes"
HEAD_LIMIT = "headers are larger than 65536 bytes"
RAW = {
    "binary garbage": (bytes(range(256)), 400, NO_HTTP),
    "a TLS hello": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500), 400, NO_HTTP),
    "HTTP/2": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0", 400, NO_HTTP),
    "another version": (b"GET /v2 HTTP/7.3\r\nHost: a\r\n\r\n", 400, NO_HTTP),
    "an unknown method": (b"DRINK /v2 HTTP/1.1\r\nHost: a\r\n\r\n", 400, NO_HTTP),
    "CONNECT": (b"CONNECT wine:80 HTTP/1.1\r\nHost: wine:80\r\n\r\n", 405, "no CONNECT"),
    "bytes in the path": (b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n", 400, NO_HTTP),
    "a header without colon": (post("nonsense"), 400, NO_HTTP),
    "a header with a zero": (post("a: b\0c"), 400, NO_HTTP),
    "no address in Host": (post("Host: [::1"), 400, "the Host header"),
    "bytes in Host": (post("Host: \xff\xfe"), 400, "the Host header"),
    "a path in Host": (post("Host: wine/v2?x#y"), 400, "the Host header"),
    "a huge header": (post("X: " + "a" * (8 * MIB)), 431, HEAD_LIMIT),
    "an endless first line": (b"GET /" + b"a" * (8 * MIB), 431, HEAD_LIMIT),
    "thousands of headers": (post(*["a: b"] * 500_000), 431, HEAD_LIMIT),
    "a header just above the limit": (post("X: " + "a" * 65_536), 431, HEAD_LIMIT),
    "endless trailers": (
        post(CHUNKED, body=chunked(b"{}") + b"0\r\nX: " + b"a" * (8 * MIB)),
        431,
        HEAD_LIMIT,
    ),
    "two lengths": (post("Content-Length: 2", "Content-Length: 3", body=b"{}"), 400, NO_HTTP),
    "a length and chunks": (post("Content-Length: 2", CHUNKED, body=b"0\r\n\r\n"), 400, NO_HTTP),
    "a negative length": (post("Content-Length: -1"), 400, NO_HTTP),
    "a length that is not a number": (post("Content-Length: many"), 400, NO_HTTP),
    "a length beyond 64 bits": (post(f"Content-Length: {10**30}"), 400, NO_HTTP),
    "a length of 10 GB": (post("Content-Length: 10000000000", body=b"{}"), 413, BYTES_LIMIT),
    "a body above the limit": (
        post(f"Content-Length: {2 * MIB}", body=b" " * (2 * MIB)),
        413,
        BYTES_LIMIT,
    ),
    "chunks above the limit": (
        post(CHUNKED, body=chunked(*[b" " * 1000] * 2000) + b"0\r\n\r\n"),
        413,
        BYTES_LIMIT,
    ),
    "gzip above the limit": (
        post(CHUNKED, "Content-Encoding: gzip", body=chunked(PACKED, bytes(MIB)) + b"0\r\n\r\n"),
        413,
        BYTES_LIMIT,
    ),
    "a broken chunk": (post(CHUNKED, body=b"ZZ\r\n{}\r\n0\r\n\r\n"), 400, NO_HTTP),
    "a chunk longer than it says": (post(CHUNKED, body=b"1\r\n{}\r\n0\r\n\r\n"), 400, NO_HTTP),
    "a huge chunk size": (post(CHUNKED, body=b"f" * 40 + b"\r\n"), 400, NO_HTTP),
    "an empty chunked body": (post(CHUNKED, body=b"0\r\n\r\n"), 400, "the body is not JSON"),
    "an expectation": (
        post("Expect: 100-continue", "Content-Length: 2", body=b"{}"),
        400,
        "`inputs` must be a list",
    ),
    "bytes as an encoding": (
        post("Content-Encoding: \xff\xfe", "Content-Length: 2", body=b"{}"),
        415,
        "content-encoding",
    ),
    "a request and garbage": (
        post("Content-Length: 2", body=b"{}").replace(b"Connection: close\r\n", b"")
        + b"\0\1\2\r\n\r\n",
        400,
        "",
    ),
}


@pytest.mark.parametrize("case", RAW)
def test_what_is_sent_to_the_port(model_server, case):
    content, status, words = RAW[case]
    before, started = model_server.peak_bytes, time.monotonic()
    answer = model_server.send_raw(content)
    assert answer is not None
    assert answer.media_type == "application/json"
    assert_refused(answer, status, words)
    assert model_server.peak_bytes - before < 32 * MIB
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("upgrade", ["websocket", "h2c"])
@pytest.mark.parametrize("chunks", [False, True], ids=["length", "chunks"])
def test_a_client_that_offers_another_protocol(model_server, upgrade, chunks):
    """Java's does so with each first request, its body included."""
    body = json.dumps(GOOD).encode()
    length = CHUNKED if chunks else f"Content-Length: {len(body)}"
    content = chunked(body) + b"0\r\n\r\n" if chunks else body
    sent = post(length, f"Upgrade: {upgrade}", "HTTP2-Settings: AAMAAABk", body=content)
    answer = model_server.send_raw(sent.replace(b"close", b"close, Upgrade, HTTP2-Settings"))
    assert answer is not None and answer.status == 200, answer
    assert model_server.model.agrees([WINE], answer.json["outputs"][0]["data"])


def test_good_requests_before_garbage_are_answered(model_server):
    body = json.dumps(GOOD).encode()
    good = post(f"Content-Length: {len(body)}", body=body).replace(b"Connection: close\r\n", b"")
    with model_server.connect() as connection:
        connection.sendall(good * 3 + b"\0\1\2\r\n\r\n")
        output = bytearray()
        while received := connection.recv(1 << 16):
            output += received
    assert output.count(b"HTTP/1.1 200 ") == 3
    assert output.count(b"HTTP/1.1 400 ") == 1
    assert_refused(last_answer(bytes(output)), 400, NO_HTTP)


def test_a_thousand_offers_in_one_packet(model_server):
    one = b"GET /v2 HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: a\r\n\r\n"
    last = b"GET /v3 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
    answer = model_server.send_raw(one * 1000 + last)
    assert answer is not None and answer.status == 404, answer


SLOW = {
    "nothing": b"",
    "half a head": f"POST {INFER} HTTP/1.1\r\nHost: wine\r\nX: ".encode(),
    "half a body": post("Content-Length: 1000", body=b'{"inputs"'),
    "half a chunk": post(CHUNKED, body=b"100\r\nabc"),
}


@pytest.mark.parametrize("case", SLOW)
def test_half_a_request(model_server, case):
    """Forty of them neither hinder anybody nor stay for longer than the limit."""
    waiting = [model_server.connect() for _ in range(40)]
    try:
        for connection in waiting:
            connection.sendall(SLOW[case])
        assert model_server.still_predicts()
        for connection in waiting:
            answer = connection.recv(1 << 16)
            assert b"HTTP/1.1 408 " in answer
            assert b'{"error":"the request did not arrive within 2 s"}' in answer
    finally:
        for connection in waiting:
            connection.close()


def test_bytes_that_come_one_by_one(model_server):
    """Each in time; the request is not."""
    with model_server.connect() as connection:
        connection.settimeout(0.1)
        for byte in post("Content-Length: 100000", body=b"[" * 1000):
            try:
                connection.sendall(bytes([byte]))
                answer = connection.recv(1000)
            except TimeoutError:
                continue
            break
        assert answer.startswith(b"HTTP/1.1 408 ")


def test_a_kept_connection_is_not_cut_off(model_server):
    """The limit is for a request that is on its way, not for the time between two."""
    for _ in range(3):
        assert model_server.infer(GOOD).status == 200
        time.sleep(0.9)


@pytest.mark.parametrize("sent_first", [0, 10, 200, 1000])
def test_a_client_that_goes_away(model_server, sent_first):
    body = json.dumps(GOOD).encode()
    content = post(f"Content-Length: {len(body)}", body=body)[:sent_first]
    for _ in range(30):
        connection = model_server.connect()
        # Reset, not closed.
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.sendall(content)
        connection.close()


def test_a_client_that_reads_no_answer(model_server):
    body = json.dumps(request_of([WINE] * 1000)).encode()
    one = post(f"Content-Length: {len(body)}", body=body).replace(b"close", b"keep-alive")
    before = model_server.peak_bytes
    with model_server.connect() as connection:
        connection.settimeout(1)
        try:
            for _ in range(200):
                connection.sendall(one)
        except TimeoutError:
            pass  # the server reads no more either
        assert model_server.still_predicts()
    assert model_server.peak_bytes - before < 64 * MIB


def test_unknown_names_leave_nothing_in_the_metrics(model_server):
    for number in range(50):
        model_server.infer(GOOD, f"/v2/models/unheard-of-{number}/infer")
        model_server.ask("GET", f"/unheard-of-{number}")
        model_server.call("ModelInfer", model_server.grpc_request([WINE], f"unheard-of-{number}"))
    found = model_server.metrics
    assert "unheard-of" not in found
    assert f'model="{NAME}"' in found


def test_a_refusal_is_counted(model_server):
    def refusals() -> float:
        lines = model_server.metrics.splitlines()
        counted = "model_infer_request_failure_total{"
        return sum(float(line.split()[-1]) for line in lines if line.startswith(counted))

    before = refusals()
    model_server.infer(alcohol(data=["9.4"]))
    await_condition(lambda: refusals() == before + 1, "the refusal to be counted", 10)


def replayed(server: ModelServer, file: Path) -> Answer:
    """The server's answer to a file of the corpus, by the kind in the file's name."""
    content = file.read_bytes()
    if file.suffix == ".http":
        answer = server.send_raw(content, patience=1)
        assert answer is not None
        return answer
    if file.suffix == ".grpc":
        return server.call(file.name.split(".")[0], content)
    return server.infer(content)


@pytest.mark.parametrize(
    "file",
    sorted(CORPUS.glob("*.[hgj][tr]*")) + sorted(CORPUS.glob("*.json")),
    ids=lambda f: f.name,
)
def test_what_once_went_wrong(model_server, file):
    assert_refused(replayed(model_server, file))
