"""Rows that no model can score: where they are, what is wrong, and a table of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.escaping import escaped
from wine_quality.scoring.row_batches import InputFile, RowBatch

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

WHOLE_NUMBERS = ("INT64", "INT32")
"""Datatypes of a model's columns that take no fractions."""
_SHOWN = 40


class BadCell(NamedTuple):
    """The first value of a row that is wrong; ``place`` is the row's in its batch."""

    place: int
    column: str
    problem: str


def bad_cells(batch: RowBatch, columns: Sequence[tuple[str, str]]) -> list[BadCell]:
    """The first bad cell of each bad row, in the rows' order; empty for nearly all batches.

    Args:
        columns: Name and V2 datatype of each of the batch's columns.
    """
    import numpy as np

    found: dict[int, BadCell] = {}
    for (name, datatype), column in zip(columns, batch.columns, strict=True):
        # One value that is NaN or infinite makes the sum so; only the sum of very large ones lies.
        suspect = not np.isfinite(column.sum())
        fraction = datatype in WHOLE_NUMBERS and not (np.rint(column) == column).all()
        if not suspect and not fraction:
            continue
        bad = ~np.isfinite(column)
        if datatype in WHOLE_NUMBERS:
            with np.errstate(invalid="ignore"):
                bad |= np.rint(column) != column
        for place in np.flatnonzero(bad).tolist():
            text = batch.texts.get(name, {}).get(place)
            found.setdefault(place, BadCell(place, name, _problem(column[place], text)))
    return [found[place] for place in sorted(found)]


def _problem(value: float, text: str | None) -> str:
    import math

    if text is not None:
        return f"holds text, such as {escaped(text)[:_SHOWN]!r}"
    if math.isnan(value):
        return "is empty or NaN"
    return "is infinite" if math.isinf(value) else f"is {value:g}, no whole number"


def refusal(file: InputFile, batch: RowBatch, bad: Sequence[BadCell]) -> str:
    """The first bad row in words."""
    first = bad[0]
    more = f", and {len(bad) - 1} more of the next {batch.rows} rows are bad" if bad[1:] else ""
    return (
        f"{escaped(file.name)}: row {batch.first_row + first.place + 1}: column {first.column!r} "
        f"{first.problem}{more}. No predictions were written. Correct the file, or have such rows "
        "put aside: reject_bad_rows (--reject-bad-rows)."
    )


def kept_rows(batch: RowBatch, good: np.ndarray) -> RowBatch:
    """The batch without its other rows.

    Args:
        good: Which rows are kept, (n,).
    """
    if good.all():
        return batch
    import pyarrow as pa

    mask = pa.array(good)
    return RowBatch(
        batch.first_row,
        [column[good] for column in batch.columns],
        [column.filter(mask) for column in batch.keys],
        {},
    )


def good_mask(batch: RowBatch, bad: Sequence[BadCell]) -> np.ndarray:
    """Which rows can be scored, (n,)."""
    import numpy as np

    good = np.ones(batch.rows, dtype=bool)
    good[[cell.place for cell in bad]] = False
    return good


def rejected_rows(
    file: InputFile, batch: RowBatch, bad: Sequence[BadCell], row_before: int
) -> pa.RecordBatch:
    """A table for people: which row of which file, and why.

    Args:
        row_before: Rows of the input before this batch.
    """
    import pyarrow as pa

    return pa.RecordBatch.from_pydict(
        {
            "row": pa.array([row_before + cell.place + 1 for cell in bad], pa.int64()),
            "file": pa.array([file.name] * len(bad), pa.string()),
            "row_of_file": pa.array([batch.first_row + c.place + 1 for c in bad], pa.int64()),
            "column": pa.array([cell.column for cell in bad], pa.string()),
            "problem": pa.array([cell.problem for cell in bad], pa.string()),
        }
    )
