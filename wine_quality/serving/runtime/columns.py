"""From the tensors of a V2 request to one matrix, or an error that names the fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from reprlib import Repr
from typing import Any

import numpy as np

NUMBERS = frozenset(
    ["FP64", "FP32", "FP16", "INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16"]
    + ["UINT32", "UINT64"]
)
_PLAIN = frozenset([int, float])
_SHOWN = 80
# A list may be nested deeper than Python's own repr goes.
_SHORT = Repr()
_SHORT.maxlevel = 2
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = _SHOWN


class BadRequestError(ValueError):
    """The request does not fit the model; the message names the column or the limit."""


def matrix(tensors: Sequence[Any], columns: Sequence[str], most_rows: int) -> np.ndarray:
    """The request's rows, columns in the order the model was trained with.

    Args:
        tensors: ``Tensor``, or ``RequestInput`` of MLServer; one per column, shape [n] or [n, 1].
        columns: Names by the model's signature.
        most_rows: Longest batch that is served.

    Returns:
        float64 of shape (n, columns), all finite, n at least 1.

    Raises:
        BadRequestError: a column is missing, extra, given twice, misshapen, not numeric or not
            finite, or there are no rows or too many.
    """
    by_name = _by_name(tensors, columns)
    rows = _rows(by_name[columns[0]], most_rows)
    found = np.empty((rows, len(columns)))
    for position, name in enumerate(columns):
        found[:, position] = _numbers(by_name[name], name, rows, columns[0])
    if not np.isfinite(found).all():
        row, position = np.argwhere(~np.isfinite(found))[0]
        raise BadRequestError(
            f"column {shown(columns[position])} holds {found[row, position]} in row {row}; the "
            "model takes finite numbers only"
        )
    return found


def _by_name(tensors: Sequence[Any], columns: Sequence[str]) -> dict[str, Any]:
    by_name = {tensor.name: tensor for tensor in tensors}
    complaints = []
    missing = [name for name in columns if name not in by_name]
    if missing:
        complaints.append(f"missing: {_listed(missing)}")
    known = frozenset(columns)
    unknown = [name for name in by_name if name not in known]
    if unknown:
        complaints.append(f"unknown: {_listed(unknown)}")
    if len(by_name) < len(tensors):
        counts = Counter(tensor.name for tensor in tensors)
        twice = [name for name, count in counts.items() if count > 1]
        complaints.append(f"given twice: {_listed(twice)}")
    if complaints:
        raise BadRequestError(
            f"columns {'; '.join(complaints)}. The model takes one tensor for each of: "
            f"{_listed(columns, len(columns))}"
        )
    return by_name


def _rows(tensor: Any, most_rows: int) -> int:
    shape = tensor.shape
    if not shape or shape[1:] not in ([], [1]) or shape[0] < 0:
        raise BadRequestError(
            f"column {shown(tensor.name)} has shape {shown(shape)}; it must be [rows] or [rows, 1]"
        )
    if shape[0] == 0:
        raise BadRequestError("the batch is empty: send at least one row")
    if shape[0] > most_rows:
        raise BadRequestError(
            f"the batch has {shape[0]} rows; {most_rows} are the most in a request"
        )
    return shape[0]


def _numbers(tensor: Any, name: str, rows: int, first: str) -> np.ndarray:
    if tensor.shape not in ([rows], [rows, 1]):
        raise BadRequestError(
            f"column {shown(name)} has shape {shown(tensor.shape)}, but {shown(first)} has {rows} "
            "rows; all columns must have as many"
        )
    datatype = getattr(tensor.datatype, "value", tensor.datatype)
    if datatype not in NUMBERS:
        raise BadRequestError(
            f"column {shown(name)} has datatype {shown(datatype)}; it must be FP64"
        )
    values = getattr(tensor.data, "root", tensor.data)
    if isinstance(values, np.ndarray) and values.ndim == 1:  # came raw, of a datatype above
        if len(values) != rows:
            raise _count(name, len(values), rows)
        return values
    if not isinstance(values, list):
        raise BadRequestError(
            f"the data of column {shown(name)} must be a list, not {shown(values)}"
        )
    if values and isinstance(values[0], list):  # [[1.0], [2.0]]
        if any(not isinstance(value, list) or len(value) != 1 for value in values):
            raise BadRequestError(f"column {shown(name)} must hold one number per row")
        values = [value[0] for value in values]
    if len(values) != rows:
        raise _count(name, len(values), rows)
    # By type, or numpy would take true for 1 and, in a mixed list, "1" for 1.
    if not _PLAIN.issuperset(map(type, values)):
        row, value = next(
            (row, value) for row, value in enumerate(values) if type(value) not in _PLAIN
        )
        raise BadRequestError(
            f"column {shown(name)} holds {shown(value)} in row {row}, which is not a number"
        )
    try:
        return np.array(values, dtype=np.float64)
    except OverflowError:
        raise BadRequestError(f"column {shown(name)} holds a number that no float64 can") from None


def _count(name: str, values: int, rows: int) -> BadRequestError:
    return BadRequestError(f"column {shown(name)} holds {values} values; its shape says {rows}")


def _listed(names: Sequence[str], most: int = 5) -> str:
    text = ", ".join(shown(name) for name in names[:most])
    return f"{text} and {len(names) - most} more" if len(names) > most else text


def shown(value: Any) -> str:
    """A short form of a sent value for messages: some 80 characters at most."""
    text = _SHORT.repr(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def shortened(text: str, most: int) -> str:
    """The text on one line, without its middle when it has more than ``most`` characters."""
    text = _cut(text, most)
    if text.isprintable():
        return text
    escaped = (c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
    return _cut("".join(escaped), most)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 101]}…{text[-100:]}"
