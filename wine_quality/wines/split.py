"""The interface of wines in two parts, training and test, for assets: in memory or streamed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.contract import COLUMNS, TARGET
from wine_quality.wines.raw import DataOrigin

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet

    from wine_quality.engines.engine import Engine
    from wine_quality.engines.training_pass import FileSums
    from wine_quality.history.accepted_files import AcceptedFile
    from wine_quality.history.accepted_sums import AcceptedSums
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.models.elastic_net.sweep_points import Point, PointScore

BY_VALUES, SHUFFLED = "hash", "shuffled"
"""How wines are divided: the values of ``DataOrigin.split``, which older runs lack."""
SCALE = (COLUMNS[TARGET].minimum, COLUMNS[TARGET].maximum)
"""Lowest and highest quality; a prediction outside makes no sense."""

OpenEngine = Callable[[Sequence[str]], "Engine"]
"""Opens files for a second pass over them."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """Metrics and predictions of a model on the test part.

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
        """An evaluation that shows all rows that were predicted one by one."""
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


class Split(ABC):
    """Wines in two parts.

    Attributes:
        data: Where they come from and how they were divided; it travels with the model.
        train_rows: Of the training part.
        test_rows: Of the part held out.
    """

    data: DataOrigin

    @property
    @abstractmethod
    def train_rows(self) -> int: ...

    @property
    @abstractmethod
    def test_rows(self) -> int: ...

    @abstractmethod
    def count_rows_in_both(self) -> int | None:
        """Number of rows in both parts by mistake; None where a wine's values decide its part."""

    @abstractmethod
    def fit(self, alpha: float, l1_ratio: float, random_state: int) -> ElasticNet:
        """scikit-learn's ElasticNet on the training part."""

    @abstractmethod
    def examples(self, part: str) -> pd.DataFrame:
        """All rows of ``train`` or ``test``, or a uniform sample of them."""

    @abstractmethod
    def evaluate(self, model: LinearModel, open_engine: OpenEngine) -> Evaluation:
        """Metrics and predictions of a model on the test part."""

    @abstractmethod
    def rmse(self, model: LinearModel) -> float:
        """RMSE on all rows of the test part, in units of quality."""

    @abstractmethod
    def train_rmse(self, model: LinearModel) -> float:
        """RMSE on all rows of the training part, in units of quality."""

    @abstractmethod
    def rmse_of(self, predict: Callable[[pd.DataFrame], np.ndarray], known: LinearModel) -> float:
        """As ``rmse``, for a model that can only predict; ``known`` has known coefficients."""

    @abstractmethod
    def cross_validate(self, points: Sequence[Point], folds: int, seed: int) -> list[PointScore]:
        """One score for each point, in their order."""


@dataclass(frozen=True, eq=False)
class PassResult:
    """Wines that were divided.

    Attributes:
        split: What is trained and tested on.
        facts: Numbers to show, by name.
        shared_wines: Test rows whose identical wine stands in the training part too.
        read: Files whose rows were read for it; None where they had been loaded before.
        accepted: As the history holds them now; none of the packaged file.
        accumulated: All files that ``split`` is the sum of; empty unless accumulated.
    """

    split: Split
    facts: Mapping[str, Any]
    shared_wines: int = 0
    read: Sequence[FileSums] | None = None
    accepted: Sequence[AcceptedFile] = ()
    accumulated: Sequence[AcceptedSums] = ()

    @property
    def keys(self) -> set[str]:
        """Keys of the files that the history is known to hold."""
        return {one.file.key for one in self.accumulated} | {file.key for file in self.accepted}
