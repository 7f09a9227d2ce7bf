"""What assets ask of the wines in two parts, wherever the rows are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from wine_quality.datasets.contract import COLUMNS, TARGET

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet

    from wine_quality.engines.engine import Engine
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.models.elastic_net.sweep_points import Point, PointScore

BY_VALUES, SHUFFLED = "hash", "shuffled"
"""How wines are divided, as ``data["split"]`` says; splits of older runs say nothing of it."""
SCALE = (COLUMNS[TARGET].minimum, COLUMNS[TARGET].maximum)
"""Within which a prediction of quality makes sense."""

OpenEngine = Callable[[Sequence[str]], "Engine"]
"""Opens files for a second pass over them."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """How a model does on the test part.

    Attributes:
        metrics: ``rmse`` and ``mae`` in units of quality, and ``r2``.
        baseline: RMSE of always predicting the training mean.
        rows: Of the test part.
        predicted_rows: Those that were predicted one by one: for the plots, ``mae`` and the range.
        lowest: The least prediction.
        highest: The greatest.
        outside: Predictions that are not finite or not within ``SCALE``.
        actual: Of the rows that are shown, (k,).
        predicted: Of the rows that are shown, (k,).
    """

    metrics: dict[str, float]
    baseline: float
    rows: int
    predicted_rows: int
    lowest: float
    highest: float
    outside: int
    actual: np.ndarray
    predicted: np.ndarray

    @classmethod
    def of_rows(
        cls,
        metrics: dict[str, float],
        baseline: float,
        rows: int,
        actual: np.ndarray,
        predicted: np.ndarray,
    ) -> Evaluation:
        """Where the rows that are shown are all that were predicted one by one."""
        within = (predicted >= SCALE[0]) & (predicted <= SCALE[1])
        return cls(
            metrics,
            baseline,
            rows,
            predicted_rows=len(predicted),
            lowest=float(predicted.min()),
            highest=float(predicted.max()),
            outside=int((~within).sum()),
            actual=actual,
            predicted=predicted,
        )


class Split(Protocol):
    """Wines in two parts.

    Attributes:
        data: Where they come from and how they were divided; it travels with the model.
        train_rows: Of the training part.
        test_rows: Of the part held out.
    """

    @property
    def data(self) -> Mapping[str, Any]: ...

    @property
    def train_rows(self) -> int: ...

    @property
    def test_rows(self) -> int: ...

    def fit(self, alpha: float, l1_ratio: float, random_state: int) -> ElasticNet:
        """scikit-learn's ElasticNet on the training part."""

    def examples(self, part: str) -> pd.DataFrame:
        """All rows of ``train`` or ``test``, or a uniform sample of them."""

    def evaluate(self, model: LinearModel, open_engine: OpenEngine) -> Evaluation:
        """How a model does on the test part."""

    def rmse(self, model: LinearModel) -> float:
        """On all rows of the test part."""

    def train_rmse(self, model: LinearModel) -> float:
        """On all rows of the training part."""

    def rmse_of(self, predict: Callable[[pd.DataFrame], np.ndarray], known: LinearModel) -> float:
        """As ``rmse``, of a model that can only be asked; ``known`` is one that is known."""

    def cross_validate(self, points: Sequence[Point], folds: int, seed: int) -> list[PointScore]:
        """One score for each point, in their order."""


def split_of(value: Any) -> Split:
    """What ``train_test_split`` handed on: a data frame, or sums."""
    if isinstance(value, dict):
        from wine_quality.wines.streamed import StreamedSplit

        return StreamedSplit.from_plain(value)
    from wine_quality.wines.in_memory import MemorySplit

    return MemorySplit(value)
