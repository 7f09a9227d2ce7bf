"""Requests of clients of ``mlflow models serve`` to ``/invocations``, good and bad."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality_tests.support.model_server import WINE, assert_refused

pytestmark = pytest.mark.slow
PATH = "/invocations"
OTHER = [value * 1.1 for value in WINE]
ROWS = [WINE, OTHER]
COLUMNS = list(FEATURES)
RECORDS = [dict(zip(COLUMNS, row, strict=True)) for row in ROWS]
LISTS = {name: [row[at] for row in ROWS] for at, name in enumerate(COLUMNS)}
SPLIT = {"columns": COLUMNS, "data": ROWS}
FORMATS = {
    "dataframe_split": SPLIT,
    "dataframe_records": RECORDS,
    "inputs": LISTS,
    "instances": RECORDS,
}


@pytest.fixture(autouse=True)
def _well_afterwards(model_server):
    yield
    model_server.assert_well()


def split(**changes: Any) -> dict[str, Any]:
    return {"dataframe_split": {**SPLIT, **changes}}


def alcohol(value: Any) -> dict[str, Any]:
    """The good split, but for alcohol in its first row."""
    return split(data=[[*WINE[:-1], value], OTHER])


@pytest.mark.parametrize("form", FORMATS)
def test_each_format_of_mlflow_gets_the_predictions(model_server, form):
    body = {form: FORMATS[form], "params": {"unused": 1}}
    answer = model_server.infer(body, PATH, content_type="application/json")
    assert answer.status == 200, answer.body
    assert list(answer.json) == ["predictions"]
    assert model_server.model.agrees(ROWS, answer.json["predictions"])


@pytest.mark.parametrize("body", [SPLIT, {**SPLIT, "index": [7, 8]}, RECORDS])
def test_a_client_of_mlflow_1_gets_a_bare_list(model_server, body):
    answer = model_server.infer(body, PATH, content_type="application/json; format=pandas-split")
    assert answer.status == 200, answer.body
    assert model_server.model.agrees(ROWS, answer.json)


def test_columns_are_known_by_their_names(model_server):
    reversed_rows = [row[::-1] for row in ROWS]
    answer = model_server.infer(split(columns=COLUMNS[::-1], data=reversed_rows), PATH)
    assert model_server.model.agrees(ROWS, answer.json["predictions"])


def test_as_many_records_as_rows_are_served(model_server):
    body = {"dataframe_records": RECORDS[:1] * 1000}
    answer = model_server.infer(
        gzip.compress(json.dumps(body).encode()), PATH, content_encoding="gzip"
    )
    assert answer.status == 200, answer.body
    assert len(answer.json["predictions"]) == 1000


def test_whether_it_is_well_is_asked_as_of_mlflow(model_server):
    for path in ("/ping", "/health"):
        assert model_server.ask("GET", path).status == 200


BODIES: dict[str, tuple[Any, str]] = {
    "no JSON": (b"{", "the body is not JSON"),
    "a number": (7, "the body must be a JSON object"),
    "nothing": ({}, "the body has no input"),
    "two formats": ({"inputs": LISTS, "instances": RECORDS}, "has inputs and instances"),
    "V2": ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP64", "data": [1]}]}, "of the V2"),
    "split a list": ({"dataframe_split": ROWS}, "must be an object with `columns` and `data`"),
    "split without columns": ({"dataframe_split": {"data": ROWS}}, "must be a list of names"),
    "split without data": ({"dataframe_split": {"columns": COLUMNS}}, "must be a list of rows"),
    "columns that are numbers": (split(columns=list(range(11))), "must be a list of names"),
    "a short row": (split(data=[WINE, WINE[:-1]]), "row 1 of `dataframe_split` holds 10 values"),
    "a row that is none": (split(data=[WINE, None]), "row 1 of `dataframe_split` must be a list"),
    "a missing column": (split(columns=COLUMNS[:-1], data=[WINE[:-1]]), "missing: 'alcohol'"),
    "an extra column": (split(columns=[*COLUMNS, "x"], data=[[*WINE, 1]]), "unknown: 'x'"),
    "a column twice": (split(columns=[*COLUMNS, "pH"], data=[[*WINE, 1]]), "given twice: 'pH'"),
    "text": (alcohol("9.4"), "column 'alcohol' holds '9.4' in row 0"),
    "null": (alcohol(None), "column 'alcohol' holds None in row 0"),
    "a boolean": (alcohol(True), "column 'alcohol' holds True in row 0"),
    "a list": (alcohol([9.4]), "column 'alcohol' holds [9.4] in row 0"),
    "an object": (alcohol({}), "column 'alcohol' holds {} in row 0"),
    "NaN": (alcohol(float("nan")), "the model takes finite numbers only"),
    "Infinity": (alcohol(float("inf")), "the model takes finite numbers only"),
    "too large a prediction": (
        split(data=[[1.7e308 * (at in (1, 4)) for at in range(11)]]),
        "row 0 is too large",
    ),
    "no rows": (split(data=[]), "the batch is empty"),
    "no records": ({"dataframe_records": []}, "the batch is empty"),
    "rows without names": ({"instances": ROWS}, "row 0 of `instances` is [7.4, 0.7"),
    "inputs without names": ({"inputs": ROWS}, "must be an object with a number for each column"),
    "records an object": ({"dataframe_records": LISTS}, "must be a list of objects"),
    "records that differ": (
        {"dataframe_records": [RECORDS[0], {**RECORDS[1], "x": 1}]},
        "row 1 of `dataframe_records` has another column, 'x'",
    ),
    "records of which one lacks a column": (
        {"dataframe_records": [RECORDS[0], {"pH": 1}]},
        "row 1 of `dataframe_records` has no 'alcohol'",
    ),
    "a record that is null": ({"instances": [RECORDS[0], None]}, "row 1 of `instances` is None"),
    "inputs of unequal length": (
        {"inputs": {**LISTS, "alcohol": [9.4]}},
        "column 'alcohol' has shape [1], but 'fixed acidity' has 2 rows",
    ),
    "inputs of numbers": ({"inputs": RECORDS[0]}, "must hold a list of numbers, not 7.4"),
    "params a list": ({"inputs": LISTS, "params": []}, "`params` must be an object"),
    "too many rows": (split(data=[WINE] * 1001), "1000 are the most in a request"),
    "too many records": ({"instances": RECORDS[:1] * 1001}, "1000 are the most in a request"),
    "far too many objects": (b'{"instances": [' + b"{}," * 2100 + b"{}]}", "more than 2000 JSON"),
    "far too many lists": (b'{"inputs": [' + b"[]," * 15_000 + b"[]]}", "JSON lists, the most"),
    "lists nested deeply": (b'{"inputs": ' + b"[" * 3000 + b"]" * 3000 + b"}", ""),
}


@pytest.mark.parametrize("case", BODIES)
def test_what_is_wrong_is_said_in_a_sentence(model_server, case):
    body, words = BODIES[case]
    assert_refused(model_server.infer(body, PATH), 400, words)


def test_what_is_too_large_or_of_another_kind_is_refused(model_server):
    assert_refused(model_server.infer(b" " * ((1 << 20) + 1), PATH), 413, "larger than")
    bomb = gzip.compress(bytes(8 << 20))
    assert_refused(model_server.infer(bomb, PATH, content_encoding="gzip"), 413, "larger than")
    assert_refused(model_server.infer(b"a,b\n1,2", PATH, content_type="text/csv"), 415, "CSV")
    assert_refused(model_server.ask("GET", PATH), 405)
