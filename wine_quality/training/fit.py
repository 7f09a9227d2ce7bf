"""The elastic net, and its plain form that every environment can read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from wine_quality.data.contract import FEATURES, TARGET

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    from sklearn.linear_model import ElasticNet


def fit_elastic_net(
    train: pd.DataFrame, alpha: float, l1_ratio: float, random_state: int = 42
) -> ElasticNet:
    """scikit-learn's ElasticNet on the eleven features.

    Raises:
        ValueError: ``alpha`` below 0 or ``l1_ratio`` outside [0, 1].
    """
    if not 0 <= alpha < float("inf"):
        raise ValueError(f"hyperparameters.alpha is {alpha}; it must be finite and at least 0")
    if not 0 <= l1_ratio <= 1:
        raise ValueError(f"hyperparameters.l1_ratio is {l1_ratio}; it must lie in [0, 1]")
    from sklearn.linear_model import ElasticNet

    model = ElasticNet(alpha=alpha, l1_ratio=l1_ratio, random_state=random_state)
    return model.fit(train[list(FEATURES)], train[TARGET])


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
        import numpy as np

        matrix = frame[list(self.features)].to_numpy(dtype=float)
        return matrix @ np.asarray(self.coefficients) + self.intercept

    def to_json(self) -> str:
        """JSON keeps every digit of a float."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> LinearModel:
        plain = json.loads(text)
        return cls(tuple(plain["features"]), tuple(plain["coefficients"]), plain["intercept"])
