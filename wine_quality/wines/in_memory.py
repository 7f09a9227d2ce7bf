"""Wines in two parts in one data frame: the exact path for files that fit in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.models.elastic_net.fit import LinearModel, fit_elastic_net
from wine_quality.models.elastic_net.sweep_points import Point, PointScore, cross_validate
from wine_quality.models.evaluate import regression_metrics
from wine_quality.wines.split import Evaluation, OpenEngine
from wine_quality.wines.split_rows import part_of

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet


class MemorySplit:
    """See ``wines.split.Split``; made from what ``wines.split_rows`` made."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self.data: Mapping[str, Any] = frame.attrs
        self._parts = {part: part_of(frame, part) for part in ("train", "test")}

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
