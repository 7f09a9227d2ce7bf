"""The entries of the metrics history, as plain values. Standard library only."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from wine_quality.escaping import ProjectError


@dataclass(frozen=True)
class Evaluation:
    """A registered model version and how it did on held-out rows.

    Attributes:
        time: When its MLflow run began, with time zone. It is the same however often the run is
            retried, so a retry names the same rows.
        mlflow_version: Of the client that logged the model, such as 2.1.1.
        metrics: Name and value of each; RMSE and MAE are in units of quality.
    """

    time: datetime
    model_name: str
    model_version: str
    mlflow_version: str
    run_id: str
    data_sha256: str
    metrics: Mapping[str, float]

    def rows(self) -> list[dict[str, Any]]:
        """A row for each metric."""
        return [
            {
                "time": self.time,
                "model_name": self.model_name,
                "model_version": int(self.model_version),
                "mlflow_version": self.mlflow_version,
                "run_id": self.run_id,
                "metric": metric,
                "value": float(value),
                "data_sha256": self.data_sha256,
            }
            for metric, value in self.metrics.items()
        ]


class PastValue(NamedTuple):
    """One metric of one model version."""

    time: datetime
    model_version: int
    mlflow_version: str
    run_id: str
    value: float
    data_sha256: str


class MetricsHistoryError(ProjectError, RuntimeError):
    """The history cannot be read or written; the message names the database.

    Attributes:
        reason: The message of the database or the driver.
        may_pass: Whether the same may succeed in a moment.
    """

    def __init__(self, message: str, reason: str = "", may_pass: bool = False) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.may_pass = may_pass
