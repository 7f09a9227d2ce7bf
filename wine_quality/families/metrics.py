"""The metrics of a task, and which way each is better."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wine_quality.models.evaluate import regression_metrics
from wine_quality.tables.dataset import DeclarationError, Task

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class TaskMetric:
    """A metric of a task.

    Attributes:
        higher_is_better: False for errors and losses.
        scoring: scikit-learn's name of it, for cross-validation; of errors it is negative.
    """

    higher_is_better: bool
    scoring: str


METRICS: Mapping[Task, Mapping[str, TaskMetric]] = {
    Task.regression: {
        "rmse": TaskMetric(False, "neg_root_mean_squared_error"),
        "mae": TaskMetric(False, "neg_mean_absolute_error"),
        "r2": TaskMetric(True, "r2"),
    },
    Task.classification: {
        "auc": TaskMetric(True, "roc_auc_ovr"),
        "accuracy": TaskMetric(True, "accuracy"),
        "log_loss": TaskMetric(False, "neg_log_loss"),
        "f1": TaskMetric(True, "f1_macro"),
    },
}
"""Of each task, the first one is the default that decides between versions."""

BASELINE = "baseline_"
"""Before a metric's name: that of a model which knows the training target and nothing else."""


def find_metric(task: Task, name: str = "") -> tuple[str, TaskMetric]:
    """A metric of a task by its name; empty: the task's default.

    Raises:
        DeclarationError: the task has no such metric.
    """
    known = METRICS[task]
    name = name or next(iter(known))
    if name not in known:
        raise DeclarationError(
            f"{task.value} has no metric {name!r}; it must be one of {', '.join(known)}"
        )
    return name, known[name]


def measure(task: Task, model: Any, rows: pd.DataFrame, target: str) -> dict[str, float]:
    """All metrics of a task that the rows allow.

    Args:
        model: With ``predict``, for classification ``predict_proba`` and ``classes_`` too.
        rows: With the target.

    Returns:
        By name. AUC is missing where the rows have one class only. With more than two classes it
        is the mean of each class against the rest; F1 is the mean over the classes.
    """
    features, actual = rows.drop(columns=target), rows[target].to_numpy()
    if task is Task.regression:
        return regression_metrics(actual, model.predict(features))
    import numpy as np
    from sklearn.metrics import accuracy_score, f1_score, log_loss, roc_auc_score

    predicted, likely = model.predict(features), model.predict_proba(features)
    labels = list(model.classes_)
    found = {
        "accuracy": float(accuracy_score(actual, predicted)),
        "log_loss": float(log_loss(actual, likely, labels=labels)),
        "f1": float(f1_score(actual, predicted, average="macro")),
    }
    if len(np.unique(actual)) == len(labels) > 1:
        scores = likely[:, 1] if len(labels) == 2 else likely
        found["auc"] = float(roc_auc_score(actual, scores, multi_class="ovr", labels=labels))
    return {name: value for name, value in found.items() if math.isfinite(value)}


def measure_baseline(
    task: Task, train: pd.DataFrame, test: pd.DataFrame, target: str
) -> dict[str, float]:
    """The same metrics of a model that knows the training target and nothing else: its mean, or
    the shares of its classes."""
    from sklearn.dummy import DummyClassifier, DummyRegressor

    model = DummyRegressor() if task is Task.regression else DummyClassifier(strategy="prior")
    fitted = model.fit(train.drop(columns=target), train[target])
    return measure(task, fitted, test, target)


def cross_validate(
    metric: TaskMetric, estimator: Any, rows: pd.DataFrame, target: str, folds: int, seed: int
) -> float:
    """The mean of a metric over shuffled folds, the same each time; of classes in equal shares.

    Raises:
        ValueError: a fold cannot be fitted or measured.
    """
    from sklearn.base import is_classifier
    from sklearn.model_selection import KFold, StratifiedKFold, cross_val_score

    divide = StratifiedKFold if is_classifier(estimator) else KFold
    scores = cross_val_score(
        estimator,
        rows.drop(columns=target),
        rows[target],
        scoring=metric.scoring,
        cv=divide(folds, shuffle=True, random_state=seed),
        error_score="raise",
    )
    mean = float(scores.mean())
    return -mean if metric.scoring.startswith("neg_") else mean
