"""``/invocations`` as the clients of ``mlflow models serve`` call it, into tensors by column.

``dataframe_split``, ``dataframe_records``, ``inputs`` and ``instances`` of MLflow 2 and 3; of
MLflow 1 a split or a list of records as the whole body. Columns are known by their names: rows
without names are refused, as MLflow does for a model that has names.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import orjson

from .columns import BadRequestError, shown
from .tensors import Received, Tensor

FORMATS = ("dataframe_split", "dataframe_records", "inputs", "instances")
_EXPECTED = (
    "send one of `dataframe_split` ({columns, data}), `dataframe_records` (a list of objects), "
    "`inputs` (a list of values for each column) or `instances` (a list of objects)"
)


class Invocation(NamedTuple):
    """A request, and whether it is one of MLflow 1, which expects a bare list as answer."""

    received: Received
    is_mlflow_1: bool


def from_invocation(body: bytes) -> Invocation:
    """The request in the body of a call of ``/invocations``.

    Raises:
        BadRequestError: it is not JSON, or in none of MLflow's formats; the message lists them.
    """
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        if b"NaN" in body or b"Infinity" in body:
            raise BadRequestError(
                "NaN and Infinity are no JSON, and the model takes finite numbers only"
            ) from None
        raise BadRequestError(f"the body is not JSON: {error}") from None
    if type(found) is list:
        return Invocation(_received(_of_records(found, "the body")), True)
    if type(found) is not dict:
        raise BadRequestError(f"the body must be a JSON object: {_EXPECTED}")
    given = [name for name in FORMATS if name in found]
    if not given and "columns" in found and "data" in found:
        return Invocation(_received(_of_split(found, "the body")), True)
    if len(given) != 1:
        which = f"the body has {' and '.join(given)}" if given else "the body has no input"
        raise BadRequestError(f"{which}: {_EXPECTED}")
    parameters = found.get("params")
    if parameters is not None and type(parameters) is not dict:
        raise BadRequestError(f"`params` must be an object, not {shown(parameters)}")
    return Invocation(_received(_tensors(given[0], found[given[0]])), False)


def _received(tensors: list[Tensor]) -> Received:
    return Received(None, tensors, None)


def _tensors(form: str, content: Any) -> list[Tensor]:
    if form == "dataframe_split":
        return _of_split(content, f"`{form}`")
    if type(content) is list:
        return _of_records(content, f"`{form}`")
    if form == "dataframe_records" or type(content) is not dict:
        raise BadRequestError(f"`{form}` must be a list of objects, not {shown(content)}")
    return [_tensor(name, values) for name, values in content.items()]


def _of_split(content: Any, what: str) -> list[Tensor]:
    if type(content) is not dict:
        raise BadRequestError(f"{what} must be an object with `columns` and `data`")
    columns, rows = content.get("columns"), content.get("data")
    if type(columns) is not list or any(type(name) is not str for name in columns):
        raise BadRequestError(f"`columns` of {what} must be a list of names, not {shown(columns)}")
    if type(rows) is not list:
        raise BadRequestError(f"`data` of {what} must be a list of rows, not {shown(rows)}")
    for number, row in enumerate(rows):
        if type(row) is not list:
            raise BadRequestError(f"row {number} of {what} must be a list, not {shown(row)}")
        if len(row) != len(columns):
            raise BadRequestError(
                f"row {number} of {what} holds {len(row)} values for {len(columns)} columns"
            )
    by_column = [list(values) for values in zip(*rows)] if rows else [[] for _ in columns]  # noqa: B905
    return [_tensor(name, values) for name, values in zip(columns, by_column)]  # noqa: B905


def _of_records(content: list[Any], what: str) -> list[Tensor]:
    if not content:
        raise BadRequestError("the batch is empty: send at least one row")
    first = content[0]
    if type(first) is not dict:
        raise BadRequestError(
            f"row 0 of {what} is {shown(first)}; it must be an object with a number for each "
            "column, by name"
        )
    if {"name", "shape", "datatype", "data"} <= first.keys():
        raise BadRequestError(
            f"{what} holds tensors of the V2 protocol; call /v2/models/NAME/infer"
        )
    names = list(first)
    wanted = first.keys()
    for number, row in enumerate(content):
        if type(row) is not dict:
            raise BadRequestError(f"row {number} of {what} is {shown(row)}; it must be an object")
        if row.keys() != wanted:
            other = sorted(row.keys() ^ wanted)[0]
            kind = "has no" if other in wanted else "has another column,"
            raise BadRequestError(f"row {number} of {what} {kind} {shown(other)}")
    return [_tensor(name, [row[name] for row in content]) for name in names]


def _tensor(name: str, values: Any) -> Tensor:
    if type(values) is not list:
        raise BadRequestError(
            f"column {shown(name)} must hold a list of numbers, not {shown(values)}"
        )
    if values and type(values[0]) is list:
        raise BadRequestError(
            f"column {shown(name)} holds {shown(values[0])} in row 0, which is not a number"
        )
    return Tensor(name, [len(values)], "FP64", values)
