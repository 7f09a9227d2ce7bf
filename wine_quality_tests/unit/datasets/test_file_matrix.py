"""Each file of the matrix, on each engine: the same rows or the same sentence."""

from __future__ import annotations

import gzip
import importlib.util
import shutil
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wine_quality_tests.support.file_matrix import (
    CASES,
    HEADER,
    PLAIN,
    ROWS,
    Case,
    outcome_in_memory,
    outcome_streamed,
    table,
    text,
    write,
)

NUMBERS = [[float(field) for field in row.split(";")] for row in ROWS]
DOCUMENT = Path(__file__).parents[3] / "docs" / "file-matrix.md"


def require(case: Case, found: tuple[list[list[float]] | None, str]) -> None:
    rows, text = found
    if case.rows is None:
        assert (rows, text) == (None, case.sentence)
    else:
        assert text == ""
        assert rows == NUMBERS[: case.rows]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_in_memory(tmp_path, case):
    require(case, outcome_in_memory(write(case, tmp_path)))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_streamed(tmp_path, case):
    require(case, outcome_streamed(write(case, tmp_path), "duckdb"))


@pytest.mark.slow
@pytest.mark.skipif(
    importlib.util.find_spec("pyspark") is None or shutil.which("java") is None,
    reason="PySpark or Java is not installed here",
)
def test_on_spark(tmp_path):
    """In one session."""
    for number, case in enumerate(CASES):
        require(case, outcome_streamed(write(case, tmp_path, number), "spark"))


def test_the_documented_matrix_is_this_one():
    assert DOCUMENT.read_text() == table(), "make file-matrix"


PIECES = [
    ";",
    ",",
    "\t",
    "\n",
    "\r",
    '"',
    " ",
    "\0",
    "\ufeff",
    "ß",
    "#",
    "1_0",
    "-",
    "+",
    "e",
    ".",
    "nan",
]
PIECES += [
    "True",
    "'",
    "sep=,",
    HEADER,
    ROWS[0],
    ";;;;;;;;;;;",
    "\u2028",
    "\x1a",
    "0x1",
    "NA",
    "\xa0",
]
DAMAGE = st.lists(
    st.tuples(st.integers(0, len(text(PLAIN))), st.integers(0, 3), st.sampled_from(PIECES)),
    min_size=1,
    max_size=3,
)


@settings(
    max_examples=150,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(DAMAGE, st.booleans())
def test_what_is_damaged_is_taken_or_refused_alike(tmp_path, damage, packed):
    content = text(PLAIN).decode()
    for place, removed, piece in damage:
        content = content[:place] + piece + content[place + removed :]
    whole = content.encode()
    path = write(Case("", gzip.compress(whole) if packed else whole), tmp_path)
    assert outcome_streamed(path, "duckdb") == outcome_in_memory(path)
