"""The elastic net, and its plain form that every environment can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from wine_quality.datasets.contract import FEATURES, TARGET

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet


def check_hyperparameters(
    alpha: float,
    l1_ratio: float,
    random_state: int = 0,
    place: str = "resources.hyperparameters.config.",
) -> None:
    """Name the first that cannot be used, and the place in run config that it came from.

    Raises:
        ValueError: ``alpha`` below 0 or not finite, ``l1_ratio`` outside [0, 1],
            ``random_state`` outside 0 to 2³² - 1.
    """
    for name, value, fits, allowed in (
        ("alpha", alpha, 0 <= alpha < float("inf"), "finite and at least 0"),
        ("l1_ratio", l1_ratio, 0 <= l1_ratio <= 1, "between 0 and 1"),
        ("random_state", random_state, 0 <= random_state < 2**32, "between 0 and 4294967295"),
    ):
        if not fits:
            raise ValueError(f"{place}{name} is {value}; it must be {allowed}")


def fit_elastic_net(
    train: pd.DataFrame, alpha: float, l1_ratio: float, random_state: int = 42
) -> ElasticNet:
    """scikit-learn's ElasticNet on the eleven features.

    Raises:
        ValueError: see ``check_hyperparameters``.
    """
    check_hyperparameters(alpha, l1_ratio, random_state)
    model = new_elastic_net(alpha, l1_ratio, random_state)
    return model.fit(train[list(FEATURES)], train[TARGET])


def new_elastic_net(alpha: float, l1_ratio: float, random_state: int) -> ElasticNet:
    """scikit-learn's ElasticNet, not fitted yet."""
    from sklearn.linear_model import ElasticNet

    return ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=random_state)


@dataclass(frozen=True)
class LinearModel:
    """Coefficients by feature and the intercept, in units of quality."""

    features: tuple[str, ...]
    coefficients: tuple[float, ...]
    intercept: float

    @classmethod
    def of(cls, estimator: ElasticNet, features: Sequence[str]) -> LinearModel:
        return cls(tuple(features), tuple(map(float, estimator.coef_)), float(estimator.intercept_))

    def predict(self, frame: pd.DataFrame) -> np.ndarray:
        """Predicted quality, one value per row."""
        return self.predict_matrix(frame[list(self.features)].to_numpy(dtype=float))

    def predict_matrix(self, features: np.ndarray) -> np.ndarray:
        """Predicted quality, (n,), of features of shape (n, 11) in the model's order."""
        import numpy as np

        return features @ np.asarray(self.coefficients) + self.intercept

    def to_json(self) -> str:
        """JSON keeps every digit of a float."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LinearModel:
        plain = json.loads(text)
        return cls(tuple(plain["features"]), tuple(plain["coefficients"]), plain["intercept"])
