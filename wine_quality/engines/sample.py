"""A uniform sample of rows, kept during the pass: for plots, profiles and what people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.engines.row_table import WINES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CAPACITY = 8192
"""Rows; about 1 MB of the wines."""
NAMES = WINES.names


@dataclass(frozen=True, eq=False)
class RowSample:
    """Each row whose number in its file is a multiple of ``stride``, a power of two.

    Attributes:
        stride: Of two samples that are merged the coarser one counts, so the rows of small and of
            large files are drawn with the same probability.
        rows: Their numbers, int64 of shape (k,).
        wines: Shape (m, k), the table's columns in its order.
        names: Those columns.
    """

    stride: int
    rows: np.ndarray
    wines: np.ndarray
    names: tuple[str, ...] = NAMES

    @classmethod
    def none(cls, names: tuple[str, ...] = NAMES) -> RowSample:
        import numpy as np

        return cls(1, np.empty(0, dtype=np.int64), np.empty((len(names), 0)), names)

    @classmethod
    def of(
        cls,
        first_row: int,
        columns: Sequence[np.ndarray],
        stride: int = 1,
        names: tuple[str, ...] = NAMES,
    ) -> RowSample:
        """The sample of consecutive rows, whose columns are each of shape (n,)."""
        import numpy as np

        chosen = np.arange(-first_row % stride, len(columns[0]), stride)
        kept = np.array([column[chosen] for column in columns])
        return cls(stride, first_row + chosen, kept, names)

    def __add__(self, other: RowSample) -> RowSample:
        """The sample of the rows of both, thinned to at most ``CAPACITY``."""
        import numpy as np

        rows = np.concatenate([self.rows, other.rows])
        wines = np.concatenate([self.wines, other.wines], axis=1)
        stride = max(self.stride, other.stride)
        return RowSample(stride, rows, wines, self.names).thinned(CAPACITY)

    def thinned(self, most: int) -> RowSample:
        """At most so many rows, on the stride."""
        stride = self.stride
        kept = self.rows % stride == 0
        while kept.sum() > most:
            stride *= 2
            kept = self.rows % stride == 0
        return RowSample(stride, self.rows[kept], self.wines[:, kept], self.names)

    def to_frame(self) -> pd.DataFrame:
        """The table's columns; the index ``row`` is the row's place in its file, from 0."""
        import pandas as pd

        index = pd.Index(self.rows, name="row")
        return pd.DataFrame(self.wines.T, columns=list(self.names), index=index)

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        columns = dict(zip(self.names, self.wines.tolist(), strict=True))
        return {"stride": self.stride, "rows": self.rows.tolist(), "columns": columns}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any], names: tuple[str, ...] = NAMES) -> RowSample:
        """The sample that ``to_plain`` wrote.

        Raises:
            ValueError: it is not a sample.
        """
        import numpy as np

        try:
            rows = np.array(plain["rows"], dtype=np.int64)
            wines = np.array([plain["columns"][name] for name in names], dtype=float)
            stride = int(plain["stride"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a sample of rows ({error})") from error
        return cls(stride, rows, wines.reshape(len(names), len(rows)), names)


def stride_for(rows: int | None) -> int:
    """The finest stride that keeps a file of so many rows within ``CAPACITY``; 1 for None."""
    stride = 1
    while rows is not None and rows > CAPACITY * stride:
        stride *= 2
    return stride
