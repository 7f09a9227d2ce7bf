"""Whether the parts that an asset is given belong together: one training, one split.

Each asset asks before it touches MLflow, so a step that stops here leaves everything as it was.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isclose
from typing import TYPE_CHECKING

from wine_quality.defs.model.values import EvaluatedModel, RegisteredVersion, TrainedModel
from wine_quality.tracking.training import (
    PartsOfTwoTrainingsError,
    Training,
    require_one_training,
)
from wine_quality.wines.raw import DataOrigin

if TYPE_CHECKING:
    from wine_quality.tracking.registry.champion import ChampionRegistry
    from wine_quality.tracking.tracker import Tracker

_CHECKED_METRIC = "rmse"


def require_metrics_of_model(
    tracker: Tracker, model: TrainedModel, metrics: EvaluatedModel
) -> None:
    """Check that the metrics are those of this model.

    Args:
        model: What ``elasticnet_model`` handed on.
        metrics: What ``evaluation_metrics`` handed on.

    Raises:
        PartsOfTwoTrainingsError: they are another model's.
    """
    again = (
        "Materialize evaluation_metrics again before registered_model, or both of them together."
    )
    mine = model.its_training
    require_one_training({"elasticnet_model": mine, "evaluation_metrics": metrics.training}, again)
    if metrics.training is None:
        _require_logged(tracker, mine, metrics.metrics, again)


def _require_logged(
    tracker: Tracker, training: Training, metrics: Mapping[str, float], again: str
) -> None:
    """Compare with the metrics in MLflow: those that an older checkout stored name no training."""
    logged = tracker.logged_metrics(training.mlflow_run_id).get(_CHECKED_METRIC)
    given = metrics[_CHECKED_METRIC]
    if logged is None or not isclose(logged, given, rel_tol=1e-9):
        known = "none" if logged is None else f"{logged:.6f}"
        raise PartsOfTwoTrainingsError(
            f"evaluation_metrics has RMSE {given:.6f}, but elasticnet_model is of {training}, "
            f"which has {known}: they are of two trainings. {again}"
        )


def require_version_of_model(
    registry: ChampionRegistry, model: TrainedModel, registered: RegisteredVersion
) -> None:
    """Check that the registered version is this model's, by its value and by the registry.

    Args:
        model: What ``elasticnet_model`` handed on.
        registered: What ``registered_model`` handed on.

    Raises:
        PartsOfTwoTrainingsError: it is another model's, or is not there any more.
    """
    again = (
        "Materialize evaluation_metrics and registered_model again before champion_model, or all "
        "three together."
    )
    mine = model.its_training
    require_one_training(
        {"elasticnet_model": mine, "registered_model": registered.its_training}, again
    )
    title = f"{registry.name} version {registered.version}"
    found = registry.version(registered.version)
    if found is None:
        raise PartsOfTwoTrainingsError(
            f"registered_model names {title}, which is not in the registry any more; "
            f"elasticnet_model is of {mine}. {again}"
        )
    if found.run_id != mine.mlflow_run_id:
        raise PartsOfTwoTrainingsError(
            f"In the registry {title} is of MLflow run {found.run_id}, but elasticnet_model is of "
            f"{mine}. {again}"
        )


def require_same_split(
    trained_on: DataOrigin, given: DataOrigin, trained: str = "elasticnet_model"
) -> None:
    """Check that the split is the one of the training: rows the model was trained on must not
    count as held out.

    Args:
        trained_on: What the training noted of its split.
        given: The origin of the split given now, by its own record.
        trained: The asset or op that was trained.

    Raises:
        PartsOfTwoTrainingsError: names what differs and what to do.
    """
    other = given.to_plain()
    differing = [
        f"{key} {value} and {other.get(key)}"
        for key, value in trained_on.to_plain().items()
        if value != other.get(key)
    ]
    if differing:
        raise PartsOfTwoTrainingsError(
            f"{trained} was trained on another split than the train_test_split given now: they "
            f"have {'; '.join(differing)}. Materialize {trained} again too."
        )
