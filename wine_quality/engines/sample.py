"""A uniform sample of rows, kept during the pass: for plots, profiles and what people look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.engines.block_sums import NAMES

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd

CAPACITY = 8192
"""Rows; about 1 MB."""


@dataclass(frozen=True, eq=False)
class RowSample:
    """Each row whose number in its file is a multiple of ``stride``, a power of two.

    Attributes:
        stride: Of two samples that are merged the coarser one counts, so the rows of small and of
            large files are drawn with the same probability.
        rows: Their numbers, int64 of shape (k,).
        wines: Shape (12, k), the contract's columns in its order.
    """

    stride: int
    rows: np.ndarray
    wines: np.ndarray

    @classmethod
    def none(cls) -> RowSample:
        import numpy as np

        return cls(1, np.empty(0, dtype=np.int64), np.empty((len(NAMES), 0)))

    @classmethod
    def of(cls, first_row: int, columns: Sequence[np.ndarray], stride: int = 1) -> RowSample:
        """The sample of consecutive rows, whose columns are each of shape (n,)."""
        import numpy as np

        chosen = np.arange(-first_row % stride, len(columns[0]), stride)
        return cls(stride, first_row + chosen, np.array([column[chosen] for column in columns]))

    def __add__(self, other: RowSample) -> RowSample:
        """The sample of the rows of both, thinned to at most ``CAPACITY``."""
        import numpy as np

        rows = np.concatenate([self.rows, other.rows])
        wines = np.concatenate([self.wines, other.wines], axis=1)
        return RowSample(max(self.stride, other.stride), rows, wines).thinned(CAPACITY)

    def thinned(self, most: int) -> RowSample:
        """At most so many rows, on the stride."""
        stride = self.stride
        kept = self.rows % stride == 0
        while kept.sum() > most:
            stride *= 2
            kept = self.rows % stride == 0
        return RowSample(stride, self.rows[kept], self.wines[:, kept])

    def to_frame(self) -> pd.DataFrame:
        """The contract's columns; the index ``row`` is the row's place in its file, from 0."""
        import pandas as pd

        index = pd.Index(self.rows, name="row")
        return pd.DataFrame(self.wines.T, columns=list(NAMES), index=index)

    def to_plain(self) -> dict[str, Any]:
        """For JSON."""
        columns = dict(zip(NAMES, self.wines.tolist(), strict=True))
        return {"stride": self.stride, "rows": self.rows.tolist(), "columns": columns}

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> RowSample:
        """The sample that ``to_plain`` wrote.

        Raises:
            ValueError: it is not a sample.
        """
        import numpy as np

        try:
            rows = np.array(plain["rows"], dtype=np.int64)
            wines = np.array([plain["columns"][name] for name in NAMES], dtype=float)
            stride = int(plain["stride"])
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a sample of rows ({error})") from error
        return cls(stride, rows, wines.reshape(len(NAMES), len(rows)))


def stride_for(rows: int | None) -> int:
    """The finest stride that keeps a file of so many rows within ``CAPACITY``; 1 for None."""
    stride = 1
    while rows is not None and rows > CAPACITY * stride:
        stride *= 2
    return stride
