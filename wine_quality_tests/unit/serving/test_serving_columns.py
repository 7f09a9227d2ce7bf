"""A request's tensors as a matrix: no server, no MLServer."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from wine_quality.serving.runtime.columns import NUMBERS, BadRequestError, matrix, shortened, shown

COLUMNS = ("a", "b")
MOST_ROWS = 5


def tensor(name: str = "a", data: Any = (1.0,), **changes: Any) -> SimpleNamespace:
    values = list(data) if isinstance(data, tuple) else data
    shape = [len(values)] if hasattr(values, "__len__") else [1]
    return SimpleNamespace(
        **{"name": name, "shape": shape, "datatype": "FP64", "data": values, **changes}
    )


@given(
    arrays(np.float64, st.tuples(st.integers(1, 5), st.just(2)), elements=st.floats(-1e300, 1e300))
)
def test_the_rows_that_were_sent_in_the_order_of_the_signature(rows):
    sent = [tensor("b", rows[:, 1].tolist()), tensor("a", rows[:, 0].tolist())]
    found = matrix(sent, COLUMNS, MOST_ROWS)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found, rows)


@pytest.mark.parametrize("datatype", sorted(NUMBERS))
def test_every_number_of_the_protocol(datatype):
    sent = [tensor("a", (1, 2), datatype=datatype), tensor("b", (3, 4), datatype=datatype)]
    assert matrix(sent, COLUMNS, MOST_ROWS).tolist() == [[1, 3], [2, 4]]


@pytest.mark.parametrize(
    "second",
    [
        tensor("b", [[3.0], [4.0]], shape=[2, 1]),
        tensor("b", [3.0, 4.0], shape=[2, 1]),
        tensor("b", np.array([3, 4], "<u2"), shape=[2, 1], datatype="UINT16"),
        tensor("b", SimpleNamespace(root=[3.0, 4.0]), shape=[2]),
        tensor("b", (3.0, 4.0), datatype=SimpleNamespace(value="FP64")),
    ],
    ids=["nested", "flat", "raw", "MLServer's list", "MLServer's enumeration"],
)
def test_other_forms(second):
    assert matrix([tensor("a", (1, 2)), second], COLUMNS, MOST_ROWS).tolist() == [[1, 3], [2, 4]]


def test_integers_beyond_64_bits():
    found = matrix([tensor("a", (2**63,)), tensor("b", (-(10**300),))], COLUMNS, MOST_ROWS)
    assert found.tolist() == [[2.0**63, -1e300]]


NESTED: Any = 1.0
for _ in range(2000):
    NESTED = [NESTED]

REFUSED = {
    "missing": ([tensor("a")], "missing: 'b'"),
    "none at all": ([], "missing: 'a', 'b'"),
    "unknown": ([tensor("a"), tensor("b"), tensor("c")], "unknown: 'c'"),
    "misnamed": ([tensor("a"), tensor("B")], "missing: 'b'; unknown: 'B'"),
    "twice": ([tensor("a"), tensor("b"), tensor("a")], "given twice: 'a'"),
    "no shape": ([tensor("a", shape=[]), tensor("b")], "column 'a' has shape []"),
    "negative shape": ([tensor("a", shape=[-1]), tensor("b")], "column 'a' has shape [-1]"),
    "wide": ([tensor("a", shape=[1, 2]), tensor("b")], "column 'a' has shape [1, 2]"),
    "empty": ([tensor("a", ()), tensor("b", ())], "the batch is empty"),
    "many rows": ([tensor("a", (1,) * 6), tensor("b", (1,) * 6)], "has 6 rows; 5 are the most"),
    "absurd": ([tensor("a", shape=[10**18]), tensor("b")], f"has {10**18} rows; 5 are"),
    "ragged": ([tensor("a", (1, 2)), tensor("b")], "column 'b' has shape [1], but 'a' has 2 rows"),
    "short": ([tensor("a", (1, 2)), tensor("b", shape=[2])], "column 'b' holds 1 values; its"),
    "raw short": (
        [tensor("a", (1, 2)), tensor("b", np.ones(3), shape=[2])],
        "column 'b' holds 3 values; its shape says 2",
    ),
    "datatype": ([tensor("a"), tensor("b", datatype="BYTES")], "column 'b' has datatype 'BYTES'"),
    "no list": ([tensor("a"), tensor("b", {"x": 1}, shape=[1])], "column 'b' must be a list"),
    "text": ([tensor("a"), tensor("b", ("7",))], "column 'b' holds '7' in row 0"),
    "truth": ([tensor("a", (1, 2)), tensor("b", (0.5, True))], "'b' holds True in row 1"),
    "null": ([tensor("a"), tensor("b", (None,))], "column 'b' holds None in row 0"),
    "deep": ([tensor("a"), tensor("b", ((NESTED,),))], "column 'b' holds"),
    "deepest": ([tensor("a"), tensor("b", NESTED)], "column 'b' holds [[[...]]] in row 0"),
    "pairs": ([tensor("a"), tensor("b", [[1.0, 2.0]])], "'b' must hold one number per row"),
    "nan": ([tensor("a"), tensor("b", (np.nan,))], "column 'b' holds nan in row 0"),
    "infinite": ([tensor("a", (1, -np.inf)), tensor("b", (1, 2))], "'a' holds -inf in row 1"),
    "too large": ([tensor("a"), tensor("b", (10**400,))], "column 'b' holds a number that no"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case):
    sent, words = REFUSED[case]
    with pytest.raises(BadRequestError) as refusal:
        matrix(sent, COLUMNS, MOST_ROWS)
    assert words in str(refusal.value)


def test_a_hundred_thousand_names_take_no_time_to_refuse():
    """Once it was the square of it."""
    sent = [tensor(f"column {number}", ()) for number in range(100_000)]
    with pytest.raises(BadRequestError, match="and 99995 more; given twice: 'column 0'"):
        matrix([*sent, sent[0]], COLUMNS, MOST_ROWS)


@given(st.recursive(st.text() | st.integers() | st.none() | st.floats(), st.lists, max_leaves=200))
def test_what_is_shown_is_short(value):
    assert 0 < len(shown(value)) <= 81


@given(st.text(st.characters(), max_size=700))
def test_what_is_said_is_one_short_line_that_can_be_sent(text):
    message = shortened(f"Model {text} not found", 300)
    assert len(message) <= 300
    assert message.isprintable()
    assert message.encode()
    assert message.startswith("Model ") and message.endswith(" not found")


def test_what_is_short_and_printable_is_said_as_it_is():
    assert shortened("Modell Müller-Thurgau 葡萄酒", 300) == "Modell Müller-Thurgau 葡萄酒"
