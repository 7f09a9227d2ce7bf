"""Summary of predictions, updated batch by batch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

BINS = 24


@dataclass
class Summary:
    """Counts and a histogram of a pass, in constant memory.

    Attributes:
        read: Rows of the input.
        rows: That were scored; ``rejected`` were not.
        total: Sum of the predictions; None where they are not numbers, and ``lowest`` and
            ``highest`` have no meaning then.
        counts: A histogram between ``edges``, the range of the first batch; what lies beyond counts
            at its ends.
        inputs_sha256: Of the scored rows' values, the same in any file, format and order.
    """

    read: int = 0
    rows: int = 0
    rejected: int = 0
    total: float | None = None
    lowest: float = float("inf")
    highest: float = float("-inf")
    counts: list[int] = field(default_factory=list)
    edges: tuple[float, float] | None = None
    inputs_sha256: str = ""

    @property
    def mean(self) -> float | None:
        return None if self.total is None else self.total / self.rows

    def add(self, predicted: np.ndarray) -> None:
        """Add the predictions of one batch, (n,), n at least 1."""
        import numpy as np

        self.rows += len(predicted)
        if predicted.dtype.kind not in "iuf":
            return
        low, high = float(predicted.min()), float(predicted.max())
        if self.edges is None:
            self.edges, self.counts = (low, high if high > low else low + 1), [0] * BINS
        self.total = (self.total or 0.0) + float(predicted.sum())
        self.lowest, self.highest = min(self.lowest, low), max(self.highest, high)
        found, _ = np.histogram(np.clip(predicted, *self.edges), bins=BINS, range=self.edges)
        self.counts = [one + int(more) for one, more in zip(self.counts, found, strict=True)]

    def facts(self) -> dict[str, Any]:
        """The summary as metadata, by name."""
        ends = {"lowest": self.lowest, "highest": self.highest, "mean": self.mean}
        return {
            "rows_read": self.read,
            "rows": self.rows,
            "rejected_rows": self.rejected,
            **(ends if self.total is not None else {}),
            "inputs_sha256": self.inputs_sha256,
        }
