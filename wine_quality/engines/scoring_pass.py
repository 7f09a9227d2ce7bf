"""The second pass: how far a model is off on the test part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.engines.batches import Piece, Reader
from wine_quality.engines.membership import Membership
from wine_quality.engines.threads import Progress, Report, in_threads
from wine_quality.models.elastic_net.moments import Moments

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class TestScores:
    """Errors and predictions over the rows of the test part.

    Attributes:
        metrics: ``rmse``, ``mae`` in units of the target, and ``r2``.
        rows: Their number.
        lowest: The least prediction.
        highest: The greatest.
        outside: Predictions outside the scale that was given, or not finite.
    """

    # pytest would take it for tests.
    __test__ = False

    metrics: dict[str, float]
    rows: int
    lowest: float
    highest: float
    outside: int


@dataclass(frozen=True, eq=False)
class PieceScores:
    """Sums over the test rows of one piece, read by a thread or a Spark executor."""

    rows: int
    absolute: float
    squared: float
    actual: Moments
    lowest: float
    highest: float
    outside: int


def score_test_part(
    reader: Reader,
    membership: Membership,
    predict: Callable[[np.ndarray], np.ndarray],
    scale: tuple[float, float],
    threads: int = 1,
    progress: Progress | None = None,
) -> TestScores:
    """Read each file once more.

    Args:
        predict: From features of shape (n, k), in the table's order, to (n,).
        scale: Least and greatest prediction that make sense.

    Raises:
        UnreadableFileError: a file failed half-way, or changed meanwhile.
        ValueError: no row is in the test part.
    """
    report = Report(reader.files, progress)
    parts = list(
        in_threads(
            lambda piece: score_piece(reader, piece, membership, predict, scale, report.add),
            reader.pieces(),
            threads,
        )
    )
    reader.check_unchanged()
    return total_scores(parts, reader.table.noun)


def score_piece(
    reader: Reader,
    piece: Piece,
    membership: Membership,
    predict: Callable[[np.ndarray], np.ndarray],
    scale: tuple[float, float],
    report: Callable[[int], None] = lambda _rows: None,
) -> PieceScores:
    """The sums of one piece, in one thread or executor; ``report`` gets the number of rows of each
    batch."""
    import numpy as np

    rows, absolute, squared, outside = 0, 0.0, 0.0, 0
    lowest, highest = float("inf"), float("-inf")
    target = reader.table.target
    actual = Moments.none((target,))
    for batch in reader.read(piece):
        wines = batch.wines
        tested = wines[:, reader.table.is_test(wines, membership)]
        report(wines.shape[1])
        if not tested.shape[1]:
            continue
        predicted = predict(np.delete(tested, -1, axis=0).T)
        residuals = tested[-1] - predicted
        rows += len(residuals)
        absolute += float(np.abs(residuals).sum())
        squared += float(residuals @ residuals)
        actual += Moments.of_rows((target,), tested[-1][:, None])
        lowest = min(lowest, float(predicted.min()))
        highest = max(highest, float(predicted.max()))
        outside += int((~((predicted >= scale[0]) & (predicted <= scale[1]))).sum())
    return PieceScores(rows, absolute, squared, actual, lowest, highest, outside)


def total_scores(parts: Iterable[PieceScores], noun: str = "wine") -> TestScores:
    """The scores over all pieces.

    Args:
        noun: A row, in messages.

    Raises:
        ValueError: no row is in the test part.
    """
    found = [part for part in parts if part.rows]
    rows = sum(part.rows for part in found)
    if not rows:
        raise ValueError(f"no {noun} is in the test part. Raise test_fraction, or use more data.")
    squared = sum(part.squared for part in found)
    varied = float(Moments.total(part.actual for part in found).cross[0, 0])
    return TestScores(
        metrics={
            "rmse": (squared / rows) ** 0.5,
            "mae": sum(part.absolute for part in found) / rows,
            "r2": 1 - squared / varied if varied else float("nan"),
        },
        rows=rows,
        lowest=min(part.lowest for part in found),
        highest=max(part.highest for part in found),
        outside=sum(part.outside for part in found),
    )
