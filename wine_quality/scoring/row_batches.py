"""Batches of rows, and the files that they are read from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from wine_quality.datasets.dialect import Dialect

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa

ROWS_PER_BATCH = 1 << 15
"""Of twice as many, most blocks go back to the kernel after each batch and are asked for again, and
a pass holds half as much memory more; of half as many, what MLflow does once per call counts."""


class Segment(NamedTuple):
    """The rows that are scored of an input: those with this text in this column."""

    column: str
    value: str


class RowBatch(NamedTuple):
    """Consecutive rows of one file.

    Attributes:
        first_row: Of the file, from 0.
        columns: Each asked for as doubles, (n,); NaN where there is no number.
        keys: The columns that name a row, as they are.
        texts: By column and place in the batch: the text that is there instead of a number.
    """

    first_row: int
    columns: Sequence[np.ndarray]
    keys: Sequence[pa.Array]
    texts: Mapping[str, Mapping[int, str]]

    @property
    def rows(self) -> int:
        return len(self.columns[0])


@dataclass(frozen=True)
class InputFile:
    """One file as it was when the pass began.

    Attributes:
        path: Local path or ``s3://`` URL.
        name: As people know it: a path or a URL without its secrets.
        bytes: Its size.
        version: A text that changes when the content does.
        columns: Types by name; of CSV all are text.
        dialect: Of CSV.
    """

    path: str
    name: str
    bytes: int
    version: str
    columns: Mapping[str, str]
    dialect: Dialect | None = None


def doubles(column: pa.Array) -> np.ndarray:
    """An Arrow column as float64, NaN where nothing is."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_decimal(column.type) or column.type != pa.float64():
        column = column.cast(pa.float64(), safe=False)
    if column.null_count:
        column = pc.fill_null(column, float("nan"))
    numbers = np.frombuffer(column.buffers()[1], dtype=float)
    return numbers[column.offset : column.offset + len(column)]
