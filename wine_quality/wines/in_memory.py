"""Wines in two parts in one data frame: the exact path for files that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from wine_quality.datasets.accumulate import TrainingData
from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.models.elastic_net.fit import LinearModel, fit_elastic_net
from wine_quality.models.elastic_net.sweep_points import Point, PointScore, cross_validate
from wine_quality.models.evaluate import regression_metrics
from wine_quality.wines.loading import LoadedWines, RawWineCsvConfig, Say, load_wines
from wine_quality.wines.raw import DataOrigin, RawWines
from wine_quality.wines.split import (
    BY_VALUES,
    SHUFFLED,
    Evaluation,
    OpenEngine,
    PassResult,
    Split,
)
from wine_quality.wines.split_rows import (
    count_shared_wines,
    part_of,
    split_by_values,
    split_rows,
)

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet

    from wine_quality.history.wine_history import WineHistory


class WinesInMemory:
    """See ``wines.reader.WinesReader``: reads one CSV file whole."""

    def __init__(self, history: WineHistory) -> None:
        self._history = history

    def load(self, config: RawWineCsvConfig, say: Say, arrived: float | None) -> LoadedWines:
        return load_wines(config, say, self._history, arrived)

    def split(
        self, raw: RawWines, test_fraction: float, seed: int, say: Say, arrived: float | None
    ) -> PassResult:
        assert isinstance(raw, LoadedWines)
        split = divide(raw, test_fraction, seed)
        shared = count_shared_wines(split.frame)
        facts = {"test_wines_also_in_train": shared, "split": split.data.split}
        return PassResult(split, facts, shared)


def divide(wines: LoadedWines, test_fraction: float, seed: int) -> MemorySplit:
    """One file is shuffled, as MLflow's tutorial does. Accumulated data is split by the rows'
    values: shuffled anew at each run, the champion would know rows that are held out from its
    challenger.

    Raises:
        ValueError: when a part would be empty.
    """
    by_values = wines.origin.training_data == TrainingData.accumulated.value
    frame = (split_by_values if by_values else split_rows)(wines.frame, test_fraction, seed)
    frame.attrs = replace(
        wines.origin,
        split=BY_VALUES if by_values else SHUFFLED,
        test_fraction=test_fraction,
        split_seed=seed,
    ).to_plain()
    return MemorySplit(frame)


class MemorySplit(Split):
    """See ``wines.split.Split``; of a frame that ``divide`` made.

    Attributes:
        frame: The wines with the column ``part``; the index is the row's place in the file.
    """

    def __init__(self, frame: pd.DataFrame) -> None:
        self.frame = frame
        self.data = DataOrigin.of(frame.attrs)
        self._parts = {part: part_of(frame, part) for part in ("train", "test")}

    def to_stored(self) -> pd.DataFrame:
        return self.frame

    def count_rows_in_both(self) -> int | None:
        if self.data.split == BY_VALUES:
            return None
        return len(self._parts["train"].index.intersection(self._parts["test"].index))

    @property
    def train_rows(self) -> int:
        return len(self._parts["train"])

    @property
    def test_rows(self) -> int:
        return len(self._parts["test"])

    def fit(self, alpha: float, l1_ratio: float, random_state: int) -> ElasticNet:
        return fit_elastic_net(self._parts["train"], alpha, l1_ratio, random_state)

    def examples(self, part: str) -> pd.DataFrame:
        return self._parts[part]

    def evaluate(self, model: LinearModel, open_engine: OpenEngine) -> Evaluation:
        import numpy as np

        test = self._parts["test"]
        actual, predicted = test[TARGET].to_numpy(), model.predict(test)
        mean = self._parts["train"][TARGET].mean()
        baseline = regression_metrics(actual, np.full(len(actual), mean))["rmse"]
        metrics = regression_metrics(actual, predicted)
        return Evaluation.of_rows(metrics, baseline, len(test), actual, predicted)

    def rmse(self, model: LinearModel) -> float:
        return self._rmse(model.predict(self._parts["test"]))

    def train_rmse(self, model: LinearModel) -> float:
        train = self._parts["train"]
        return regression_metrics(train[TARGET].to_numpy(), model.predict(train))["rmse"]

    def rmse_of(self, predict: Callable[[pd.DataFrame], np.ndarray], known: LinearModel) -> float:
        return self._rmse(predict(self._parts["test"][list(FEATURES)]))

    def cross_validate(self, points: Sequence[Point], folds: int, seed: int) -> list[PointScore]:
        return cross_validate(self._parts["train"], points, folds, seed)

    def _rmse(self, predicted: np.ndarray) -> float:
        return regression_metrics(self._parts["test"][TARGET].to_numpy(), predicted)["rmse"]
