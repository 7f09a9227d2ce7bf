"""The tensors of a V2 request as they came: from JSON or from protobuf, nothing checked twice.

By hand and not by MLServer's Pydantic models: it takes less time, ends at the first fault however
many there are, and the message names the column.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import orjson

from .columns import BadRequestError, shown

_WHOLE = frozenset([int])
_MOST_LOOKED_AT = 1024 * 1024
_RAW = {
    "FP64": "<f8",
    "FP32": "<f4",
    "FP16": "<f2",
    "INT8": "<i1",
    "INT16": "<i2",
    "INT32": "<i4",
    "INT64": "<i8",
    "UINT8": "<u1",
    "UINT16": "<u2",
    "UINT32": "<u4",
    "UINT64": "<u8",
}
# Where the protocol puts the numbers of a datatype.
_CONTENTS = {
    "FP16": "raw_input_contents",
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


class Tensor(NamedTuple):
    """An input for ``columns.matrix``; ``data`` is as it was sent, or an array if sent raw."""

    name: str
    shape: list[int]
    datatype: str
    data: Any
    parameters: None = None


class Output(NamedTuple):
    """An output that is asked for."""

    name: str
    parameters: None = None


class Received(NamedTuple):
    """A request whose parts are of the right types; not yet checked against the model's columns."""

    id: str | None
    inputs: list[Tensor]
    outputs: list[Output] | None


def from_json(body: bytes) -> Received:
    """The request in the body of a REST call. Parameters are ignored.

    Raises:
        BadRequestError: it is not JSON, or not a V2 request.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequestError(_not_finite(body) or f"the body is not JSON: {error}") from None
    if type(found) is not dict:
        raise BadRequestError("the body must be a JSON object with a list `inputs`")
    number = found.get("id")
    if number is not None and type(number) is not str:
        raise BadRequestError(f"`id` must be text, not {shown(number)}")
    _check_parameters(found, "the request")
    given = found.get("inputs")
    if type(given) is not list:
        raise BadRequestError("`inputs` must be a list with one tensor for each column")
    return Received(number, [_tensor(item, at) for at, item in enumerate(given)], _outputs(found))


def _not_finite(body: bytes) -> str | None:
    """The message for NaN, Infinity or 1e999, which are not JSON, though some clients send them."""
    try:
        found = json.loads(body) if len(body) <= _MOST_LOOKED_AT else None
        for item in found["inputs"]:  # type: ignore[index]
            for row, value in enumerate(item["data"]):
                if isinstance(value, (int, float)) and not abs(value) < np.inf:
                    return (
                        f"column {shown(item['name'])} holds {value} in row {row}; the model takes "
                        "finite numbers only"
                    )
    except (ValueError, LookupError, TypeError, OverflowError, RecursionError):
        pass
    return None


def _tensor(item: Any, at: int) -> Tensor:
    try:
        name, shape, datatype, data = item["name"], item["shape"], item["datatype"], item["data"]
    except (KeyError, TypeError):
        raise BadRequestError(_incomplete(item, at)) from None
    if type(name) is not str:
        raise BadRequestError(f"the name of input {at} must be text, not {shown(name)}")
    if type(shape) is not list or not _WHOLE.issuperset(map(type, shape)):
        raise BadRequestError(f"column {shown(name)} has shape {shown(shape)}; it must be [rows]")
    if type(datatype) is not str:
        raise BadRequestError(
            f"column {shown(name)} has datatype {shown(datatype)}; it must be FP64"
        )
    if "parameters" in item:
        _check_parameters(item, f"column {shown(name)}")
    return Tensor(name, shape, datatype, data)


def _incomplete(item: Any, at: int) -> str:
    if type(item) is not dict:
        return f"input {at} is {shown(item)}; it must be an object with name, shape, datatype, data"
    missing = [key for key in ("name", "shape", "datatype", "data") if key not in item]
    which = f"column {shown(item['name'])}" if "name" in item else f"input {at}"
    return f"{which} has no {' and no '.join(missing)}"


def _check_parameters(item: dict[str, Any], whose: str) -> None:
    parameters = item.get("parameters")
    if parameters is not None and type(parameters) is not dict:
        raise BadRequestError(
            f"the parameters of {whose} must be an object, not {shown(parameters)}"
        )


def _outputs(found: dict[str, Any]) -> list[Output] | None:
    given = found.get("outputs")
    if given is None:
        return None
    if type(given) is not list:
        raise BadRequestError("`outputs` must be a list")
    names = []
    for at, item in enumerate(given):
        if type(item) is not dict or type(item.get("name")) is not str:
            raise BadRequestError(f"output {at} is {shown(item)}; it must be an object with a name")
        _check_parameters(item, f"output {shown(item['name'])}")
        names.append(Output(item["name"]))
    return names


def from_message(message: Any) -> Received:
    """The request in a gRPC ``ModelInferRequest``. Parameters are ignored.

    Raises:
        BadRequestError: numbers are not where the protocol has them for their datatype, or raw ones
            do not belong to the tensors one by one.
    """
    raw = message.raw_input_contents
    given = message.inputs
    if raw and len(raw) != len(given):
        raise BadRequestError(f"raw_input_contents has {len(raw)} entries for {len(given)} columns")
    if raw:
        tensors = [_from_raw(item, content) for item, content in zip(given, raw)]  # noqa: B905
    else:
        tensors = [_from_contents(item) for item in given]
    outputs = [Output(item.name) for item in message.outputs] if message.outputs else None
    return Received(message.id, tensors, outputs)


def _from_contents(item: Any) -> Tensor:
    datatype = item.datatype
    filled = item.contents.ListFields()
    wanted = _CONTENTS.get(datatype)
    # Another datatype is refused by name later.
    if wanted is not None and (len(filled) > 1 or (filled and filled[0][0].name != wanted)):
        names: Sequence[str] = [field.name for field, _ in filled]
        raise BadRequestError(
            f"column {shown(item.name)} of datatype {datatype} holds {', '.join(names)}; it must "
            f"hold {wanted} alone"
        )
    data = list(filled[0][1]) if filled else []
    return Tensor(item.name, list(item.shape), datatype, data)


def _from_raw(item: Any, content: bytes) -> Tensor:
    if item.contents.ListFields():
        raise BadRequestError(
            f"column {shown(item.name)} has contents beside raw_input_contents; give one of them"
        )
    dtype = _RAW.get(item.datatype)
    data: Any = content
    if dtype is not None:
        size = np.dtype(dtype).itemsize
        if len(content) % size:
            raise BadRequestError(
                f"column {shown(item.name)} has {len(content)} raw bytes; a value of "
                f"{item.datatype} takes {size}"
            )
        data = np.frombuffer(content, dtype)
    return Tensor(item.name, list(item.shape), item.datatype, data)
