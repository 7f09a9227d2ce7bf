"""A model server's answers over gRPC to bad requests. See also ``…_bad_input``."""

from __future__ import annotations

import socket
import struct
from collections.abc import Callable
from typing import Any

import grpc
import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality_tests.support.model_server import SERVICE, WINE, ModelServer, assert_refused
from wine_quality_tests.support.serving import NAME

pytestmark = pytest.mark.slow
ALCOHOL = len(FEATURES) - 1
MIB = 1 << 20
INVALID, NOT_FOUND, DENIED = "INVALID_ARGUMENT", "NOT_FOUND", "PERMISSION_DENIED"
EXHAUSTED, UNIMPLEMENTED = "RESOURCE_EXHAUSTED", "UNIMPLEMENTED"


@pytest.fixture(autouse=True)
def _well_afterwards(model_server):
    yield
    model_server.assert_well()


def made_raw(request: Any) -> None:
    """The same numbers in ``raw_input_contents``."""
    for tensor in request.inputs:
        numbers = tensor.contents.fp64_contents
        request.raw_input_contents.append(struct.pack(f"<{len(numbers)}d", *numbers))
        tensor.ClearField("contents")


def alcohol(**changes: Any) -> Callable[[Any], None]:
    """Alcohol's tensor, with one field's content put in the place of its contents."""

    def change(request: Any) -> None:
        tensor = request.inputs[ALCOHOL]
        for field, value in changes.items():
            if field == "shape":
                tensor.ClearField("shape")
                tensor.shape.extend(value)
            elif field.endswith("_contents"):
                tensor.contents.Clear()
                getattr(tensor.contents, field).extend(value)
            else:
                setattr(tensor, field, value)

    return change


def raw(position: int, content: bytes) -> Callable[[Any], None]:
    def change(request: Any) -> None:
        made_raw(request)
        request.raw_input_contents[position] = content

    return change


def raw_and(change: Callable[[Any], None]) -> Callable[[Any], None]:
    return lambda request: (made_raw(request), change(request))[0]


def two_fields(request: Any) -> None:
    request.inputs[ALCOHOL].contents.fp32_contents.append(5.0)


FEW = f"raw_input_contents has {ALCOHOL} entries for {ALCOHOL + 1} columns"
MANY = f"raw_input_contents has {ALCOHOL + 2} entries for {ALCOHOL + 1} columns"
REQUESTS: dict[str, tuple[Callable[[Any], Any], str, str]] = {
    "a missing column": (lambda r: r.inputs.pop(ALCOHOL), INVALID, "missing: 'alcohol'"),
    "an extra column": (lambda r: r.inputs.add(name="colour"), INVALID, "unknown: 'colour'"),
    "a misnamed column": (alcohol(name="Alcohol"), INVALID, "unknown: 'Alcohol'"),
    "a doubled column": (lambda r: r.inputs.append(r.inputs[0]), INVALID, "given twice: 'fixed"),
    "a long name": (alcohol(name="ä" * 50_000), INVALID, "missing: 'alcohol'"),
    "thousands of columns": (
        lambda r: [r.inputs.add(name=f"{number}") for number in range(20_000)],
        INVALID,
        "more than 1000 fields",
    ),
    "hundreds of columns": (
        lambda r: [r.inputs.add(name=f"{number}") for number in [*range(300), 0]],
        INVALID,
        "given twice: '0'",
    ),
    "no columns": (lambda r: r.ClearField("inputs"), INVALID, "missing: 'fixed acidity'"),
    "datatype BYTES": (alcohol(datatype="BYTES", bytes_contents=[b"9"]), INVALID, "'BYTES'"),
    "datatype BOOL": (alcohol(datatype="BOOL", bool_contents=[True]), INVALID, "'BOOL'"),
    "no datatype": (alcohol(datatype=""), INVALID, "column 'alcohol' has datatype ''"),
    "an unknown datatype": (alcohol(datatype="FP128"), INVALID, "'alcohol' has datatype 'FP128'"),
    "text": (alcohol(bytes_contents=[b"9.4"]), INVALID, "'alcohol' of datatype FP64 holds bytes"),
    "a boolean": (alcohol(bool_contents=[True]), INVALID, "it must hold fp64_contents alone"),
    "another number": (alcohol(int_contents=[9]), INVALID, "FP64 holds int_contents; it must"),
    "numbers in two fields": (two_fields, INVALID, "holds fp32_contents, fp64_contents; it must"),
    "FP16 that is not raw": (alcohol(datatype="FP16", fp64_contents=[]), INVALID, "holds 0 values"),
    "NaN": (alcohol(fp64_contents=[float("nan")]), INVALID, "'alcohol' holds nan in row 0"),
    "Infinity": (alcohol(fp64_contents=[float("inf")]), INVALID, "'alcohol' holds inf in row 0"),
    "no numbers": (alcohol(fp64_contents=[]), INVALID, "'alcohol' holds 0 values; its shape"),
    "more numbers": (alcohol(fp64_contents=[1, 2]), INVALID, "'alcohol' holds 2 values; its shape"),
    "no shape": (alcohol(shape=[]), INVALID, "column 'alcohol' has shape []"),
    "a negative shape": (alcohol(shape=[-1]), INVALID, "column 'alcohol' has shape [-1]"),
    "an absurd shape": (alcohol(shape=[2**63 - 1]), INVALID, "column 'alcohol' has shape [922337"),
    "two columns": (alcohol(shape=[1, 2]), INVALID, "column 'alcohol' has shape [1, 2]"),
    "many dimensions": (alcohol(shape=[2**62] * 500), INVALID, "column 'alcohol' has shape"),
    "raw, too short": (raw(ALCOHOL, b"1234567"), INVALID, "'alcohol' has 7 raw bytes; a value of"),
    "raw, nothing": (raw(ALCOHOL, b""), INVALID, "column 'alcohol' holds 0 values; its shape"),
    "raw, two values": (raw(ALCOHOL, bytes(16)), INVALID, "column 'alcohol' holds 2 values"),
    "raw, NaN": (raw(ALCOHOL, struct.pack("<d", float("nan"))), INVALID, "'alcohol' holds nan"),
    "raw, too few": (raw_and(lambda r: r.raw_input_contents.pop(0)), INVALID, FEW),
    "raw, too many": (raw_and(lambda r: r.raw_input_contents.append(b"")), INVALID, MANY),
    "raw and contents": (raw_and(alcohol(fp64_contents=[9.4])), INVALID, "contents beside raw"),
    "raw BYTES": (raw_and(alcohol(datatype="BYTES")), INVALID, "'alcohol' has datatype 'BYTES'"),
    "raw, another datatype": (raw_and(alcohol(datatype="FP32")), INVALID, "'alcohol' holds 2 val"),
    "raw, an absurd shape": (raw_and(alcohol(shape=[2**62] * 9)), INVALID, "'alcohol' has shape"),
    "an unknown output": (lambda r: r.outputs.add(name="quality"), INVALID, "no output 'quality'"),
    "an unknown model": (lambda r: setattr(r, "model_name", "Cheese"), NOT_FOUND, "Model Cheese"),
    "no model": (lambda r: setattr(r, "model_name", ""), NOT_FOUND, "not found"),
    "an unknown version": (lambda r: setattr(r, "model_version", "7"), NOT_FOUND, "version 7 not"),
    "a long model name": (lambda r: setattr(r, "model_name", "ä" * 50_000), NOT_FOUND, "Model ää"),
}


@pytest.mark.parametrize("case", REQUESTS)
def test_a_request(model_server, case):
    change, status, words = REQUESTS[case]
    request = model_server.grpc_request([WINE])
    change(request)
    assert_refused(model_server.call("ModelInfer", request), status, words)


GOOD_TOO: dict[str, Callable[[Any], Any]] = {
    "raw": made_raw,
    "shuffled": lambda r: r.inputs.sort(key=lambda tensor: tensor.name),
    "FP32": alcohol(datatype="FP32", fp32_contents=[9.5]),
    "UINT64": alcohol(datatype="UINT64", uint64_contents=[2**64 - 1]),
    "INT8": alcohol(datatype="INT8", int_contents=[-5]),
    "in a column": alcohol(shape=[1, 1]),
    "the output by its name": lambda r: r.outputs.add(name="predict"),
    "the version": lambda r: setattr(r, "model_version", "1"),
    "parameters of any kind": lambda r: [
        setattr(r.parameters[name], field, value)
        for name, field, value in (
            ("content_type", "int64_param", 5),
            ("headers", "string_param", "x"),
            ("self", "bool_param", True),
        )
    ],
    "empty parameters": lambda r: r.inputs[0].parameters["content_type"].SetInParent(),
}


@pytest.mark.parametrize("case", GOOD_TOO)
def test_a_request_that_is_right(model_server, case):
    request = model_server.grpc_request([WINE])
    GOOD_TOO[case](request)
    sent = {tensor.name: tensor for tensor in request.inputs}["alcohol"].contents.ListFields()
    wine = [*WINE[:ALCOHOL], sent[0][1][0] if sent else WINE[ALCOHOL]]
    answer = model_server.call("ModelInfer", request)
    assert answer.status == "OK", answer
    assert model_server.model.agrees([wine], model_server.predicted(answer))


@pytest.mark.parametrize("datatype, code", [("FP16", "e"), ("FP32", "f"), ("INT16", "h")])
def test_raw_numbers_of_another_size(model_server, datatype, code):
    request = model_server.grpc_request([WINE])
    made_raw(request)
    request.inputs[ALCOHOL].datatype = datatype
    request.raw_input_contents[ALCOHOL] = struct.pack(f"<{code}", 9)
    answer = model_server.call("ModelInfer", request)
    assert answer.status == "OK", answer
    assert model_server.model.agrees([[*WINE[:ALCOHOL], 9]], model_server.predicted(answer))


METHODS = (
    "ServerLive",
    "ServerReady",
    "ServerMetadata",
    "ModelReady",
    "ModelMetadata",
    "ModelInfer",
)
REPOSITORY = ("RepositoryIndex", "RepositoryModelLoad", "RepositoryModelUnload")


@pytest.mark.parametrize("method", [*METHODS, *REPOSITORY])
@pytest.mark.parametrize(
    "content",
    [b"\xff\xff\xff\xff", b"\x0a\x7fshort", b"\x0a\x02\xff\xfe", bytes(range(256)) * 10],
    ids=["garbage", "cut off", "a name that is no UTF-8", "more garbage"],
)
def test_what_is_no_message(model_server, method, content):
    answer = model_server.call(method, content)
    if answer.status == "OK":  # a message of other fields, by the rules of protobuf
        assert method in ("ServerLive", "ServerReady", "ServerMetadata")
    else:
        assert_refused(answer, INVALID, f"the message is no {method}Request")


@pytest.mark.parametrize("method", ["ModelReady", "ModelMetadata"])
@pytest.mark.parametrize("name, version", [("Cheese", ""), (NAME, "7"), ("", ""), ("n" * 9999, "")])
def test_of_an_unknown_model(model_server, method, name, version):
    wanted = getattr(model_server.messages, f"{method}Request")(name=name, version=version)
    assert_refused(model_server.call(method, wanted), NOT_FOUND, "not found")


@pytest.mark.parametrize("method", REPOSITORY)
def test_the_repository_is_closed(model_server, method):
    assert_refused(model_server.call(method, b""), DENIED, "this server chooses its models itself")


def test_methods_that_are_not_there(model_server):
    request = model_server.grpc_request([WINE]).SerializeToString()
    old_service = "/inference.model_repository.ModelRepositoryService/"
    for answer in (
        model_server.call("Drink", request),
        model_server.call("RepositoryIndex", b"", service=old_service),
        model_server.call("ServerLive", b"", service="/wine.Bar/"),
        model_server.call("ModelStreamInfer", request),
        model_server.call_stream("ModelStreamInfer", [request]),
        model_server.call_stream("ModelStreamInfer", []),
        model_server.call_stream("ModelStreamInfer", [b"\xff\xff"]),
    ):
        assert_refused(answer, UNIMPLEMENTED)


def test_more_rows_than_the_limit(model_server):
    request = model_server.grpc_request([WINE] * 1001)
    answer = model_server.call("ModelInfer", request)
    assert_refused(answer, INVALID, "the batch has 1001 rows; 1000 are the most")
    made_raw(request)
    answer = model_server.call("ModelInfer", request)
    assert_refused(answer, INVALID, "the batch has 1001 rows; 1000 are the most")


def test_an_empty_batch(model_server):
    answer = model_server.call("ModelInfer", model_server.grpc_request([]))
    assert_refused(answer, INVALID, "the batch is empty")


def test_a_message_above_the_limit(model_server):
    before = model_server.peak_bytes
    answer = model_server.call("ModelInfer", model_server.grpc_request([WINE] * 20_000))
    assert_refused(answer, EXHAUSTED, f"larger than max (1760423 vs. {MIB})")
    assert model_server.peak_bytes - before < 32 * MIB


def test_a_compressed_message(model_server):
    request = model_server.grpc_request([WINE])
    answer = model_server.call("ModelInfer", request, compression=grpc.Compression.Gzip)
    assert answer.status == "OK"
    request.raw_input_contents.append(bytes(100 * MIB))
    before = model_server.peak_bytes
    answer = model_server.call("ModelInfer", request, compression=grpc.Compression.Gzip)
    assert_refused(answer, EXHAUSTED, "larger than max")
    assert model_server.peak_bytes - before < 32 * MIB


@pytest.mark.parametrize(
    "metadata, status",
    [
        ((("a-bin", b"\xff\x00"), ("ce-id", "5")), "OK"),
        ((("a", "b" * 20_000),), EXHAUSTED),
        (tuple((f"a{number}", "b" * 100) for number in range(500)), EXHAUSTED),
    ],
    ids=["odd", "large", "many"],
)
def test_metadata(model_server, metadata, status):
    answer = model_server.call("ModelInfer", model_server.grpc_request([WINE]), metadata=metadata)
    assert answer.status == status, answer


@pytest.mark.parametrize(
    "content",
    [
        b"GET /v2/health/ready HTTP/1.1\r\nHost: wine\r\n\r\n",
        bytes(range(256)) * 100,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 10_000,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\0\0\0\4\0\0\0\0\0" * 20_000,
    ],
    ids=["HTTP/1.1", "garbage", "broken frames", "thousands of settings"],
)
def test_what_is_sent_to_the_port(model_server, content):
    with socket.create_connection(("127.0.0.1", model_server.grpc_port), 10) as connection:
        try:
            connection.sendall(content)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):
                pass
        except TimeoutError:
            raise
        except OSError:
            pass  # cut off


def test_a_call_that_is_given_up(model_server: ModelServer):
    """The server is in the middle of it, or has not begun."""
    request = model_server.grpc_request([WINE] * 1000).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{model_server.grpc_port}") as channel:
        ask = channel.unary_unary(SERVICE + "ModelInfer")
        for _ in range(50):
            ask.future(request).cancel()
        for timeout in (0.0001, 0.001, 0.002):
            try:
                ask(request, timeout=timeout)
            except grpc.RpcError as error:
                assert error.code().name == "DEADLINE_EXCEEDED"  # type: ignore[attr-defined]
