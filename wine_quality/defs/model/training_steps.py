"""Fit, evaluate and register a model in an MLflow run: shared by the assets and the sweep."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from dagster import AssetCheckResult

from wine_quality.datasets.contract import FEATURES, TARGET
from wine_quality.defs import checks
from wine_quality.defs.model.values import BestPoint, EvaluatedModel, TrainedModel
from wine_quality.monitoring.drift import check_drift
from wine_quality.monitoring.shown_plots import show_plots
from wine_quality.tracking.servers.links import mlflow_link

if TYPE_CHECKING:
    from wine_quality.tracking.resource import MlflowTracker
    from wine_quality.tracking.runs.run_log import LoggedDataset
    from wine_quality.tracking.tracker import Tracker
    from wine_quality.wines.split import OpenEngine, Split


TRAIN_RMSE = "train_rmse"
_Value = TypeVar("_Value")


@dataclass(frozen=True)
class StepOutput(Generic[_Value]):
    """A step's value, its metadata for the UI, and its asset check results."""

    value: _Value
    metadata: dict[str, Any]
    checks: list[AssetCheckResult]


def fit_and_log(
    mlflow: MlflowTracker,
    split: Split,
    hyperparameters: tuple[float, float, int],
    drift_threshold: float,
) -> StepOutput[TrainedModel]:
    """An elastic net on the training part, in the open MLflow run.

    Args:
        hyperparameters: alpha, l1_ratio and the solver's seed.
        drift_threshold: Population stability index above which a column has drifted.
    """
    from wine_quality.models.compare import profile, profile_of
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.wines.split import SHUFFLED

    tracker, data = mlflow.tracker, split.data
    alpha, l1_ratio, random_state = hyperparameters
    shown = split.examples("train")
    estimator = split.fit(alpha, l1_ratio, random_state)
    tracker.set_tags({"data_sha256": data.data_sha256, "data_source": data.source})
    tracker.log_params(
        {
            "alpha": alpha,
            "l1_ratio": l1_ratio,
            "random_state": random_state,
            "train_rows": split.train_rows,
            "test_fraction": data.test_fraction,
            "split_seed": data.split_seed,
            "data_sha256": data.data_sha256,
            # Not in values that were stored before there was a choice.
            "training_data": data.training_data or "newest",
            "data_files": data.data_files or 1,
            "training_engine": data.training_engine or "in_memory",
            "split": data.split or SHUFFLED,
        }
    )
    logged_rows = _log_rows(tracker, split, "train")
    logged = tracker.log_model(estimator, shown[list(FEATURES)].head(2))
    model = LinearModel.of(estimator, FEATURES)
    tracker.log_metrics({TRAIN_RMSE: split.train_rmse(model)}, logged.uri, logged_rows)
    plain = json.loads(model.to_json())
    predictions = profile_of(model.predict(shown))
    record = tracker.log_training_record(
        {"model": plain, "profile": profile(shown), "predictions": predictions}
    )
    return StepOutput(
        value=TrainedModel(
            model=plain,
            model_uri=logged.uri,
            model_sha256=logged.sha256,
            record_sha256=record,
            seal=tracker.seal(logged.sha256, record),
            mlflow_run_id=tracker.require_run_id(),
            mlflow_version=mlflow.version.value,
            training=tracker.require_training(),
            data=data,
        ),
        metadata={
            "alpha": alpha,
            "l1_ratio": l1_ratio,
            "nonzero_coefficients": sum(c != 0 for c in model.coefficients),
            "iterations": int(estimator.n_iter_),
            "mlflow_client": tracker.client_version,
            "mlflow_run": mlflow_link(tracker.run_url),
            "model_uri": logged.uri,
            "train_rows": split.train_rows,
            "data_sha256": data.data_sha256,
        },
        checks=[
            check_drift(tracker, mlflow.registered_model_name, shown, drift_threshold, mlflow.warn)
        ],
    )


def _log_rows(tracker: Tracker, split: Split, part: str) -> LoggedDataset | None:
    """``train`` or ``test``, or the sample of it that is kept, as a data set of the MLflow run."""
    rows = split.examples(part)
    whole = split.train_rows if part == "train" else split.test_rows
    name = f"wine_quality_{part}{'' if len(rows) == whole else '_sample'}"
    context = "training" if part == "train" else part
    return tracker.log_dataset(rows, split.data.source or "", name, context, TARGET)


def evaluate_and_log(
    tracker: Tracker, split: Split, model: TrainedModel, open_engine: OpenEngine
) -> StepOutput[EvaluatedModel]:
    """RMSE, MAE and R² of a model on the held-out part, and plots of them.

    Args:
        open_engine: For the second pass over wines that are not in memory.
    """
    from wine_quality.models import plots, small_plots
    from wine_quality.models.elastic_net.fit import LinearModel
    from wine_quality.wines.split import SCALE

    linear = LinearModel.from_json(json.dumps(model.model))
    found = split.evaluate(linear, open_engine)
    tracker.log_metrics(found.metrics, model.model_uri, _log_rows(tracker, split, "test"))
    pairs = found.actual, found.predicted
    shown = show_plots(
        tracker,
        {
            "residuals": (plots.residuals(*pairs), small_plots.residuals(*pairs)),
            "predicted_against_actual": (
                plots.predicted_against_actual(*pairs),
                small_plots.predicted_against_actual(*pairs),
            ),
            "coefficients": (plots.coefficients(linear), small_plots.coefficients(linear)),
        },
    )
    partly = {} if found.predicted_rows == found.rows else {"mae_rows": found.predicted_rows}
    return StepOutput(
        value=EvaluatedModel(found.metrics, found.rows, tracker.require_training()),
        metadata={
            **found.metrics,
            **shown,
            "test_rows": found.rows,
            **partly,
            "mlflow_run": mlflow_link(tracker.run_url),
        },
        checks=[
            checks.predictions_in_scale(found, SCALE),
            checks.beats_predicting_the_mean(found.metrics["rmse"], found.baseline),
        ],
    )


def register(
    mlflow: MlflowTracker, model: TrainedModel, metrics: dict[str, float], dagster_run_id: str
) -> str:
    """The number of the version of this run's model, made once however often it is asked for.

    Raises:
        ValueError: the model is of a time when what was logged was not noted with it.
        UntrustedModelError: what is noted with it is not what a training here logged.
    """
    from wine_quality.tracking.runs.run_log import LoggedModel
    from wine_quality.tracking.runs.run_tags import absolute_url, git_commit

    job = absolute_url("/locations/ml_repository/jobs/wine_quality_model")
    champion = absolute_url("/assets/champion_model")
    if not model.seal:
        raise ValueError(
            "elasticnet_model was trained before model versions were signed, so nobody knows "
            "whether its files are still the same. Materialize elasticnet_model again too."
        )
    mlflow.tracker.require_seal(model.seal, model.model_sha256, model.record_sha256)
    return mlflow.tracker.register(
        LoggedModel(model.model_uri, model.model_sha256),
        model.record_sha256,
        mlflow.registered_model_name,
        tags={
            "dagster.run_id": dagster_run_id,
            "data_sha256": model.data.data_sha256 or "",
            "git_commit": git_commit(),
        },
        description=", ".join(f"{key} {value:.6f}" for key, value in metrics.items()),
        of_model=(
            "Predicts the quality of a wine (0 to 10) from eleven measurements: an elastic net. "
            f"Versions are made by Dagster, in [wine_quality_model]({job}) and its like; which of "
            f"them is the champion is decided by the asset [champion_model]({champion})."
        ),
    )


def require_same_version(
    mlflow: MlflowTracker, model: TrainedModel | BestPoint, asset: str = "elasticnet_model"
) -> None:
    """Another version's client may not be able to go on with the MLflow run.

    Raises:
        ValueError: names both versions and what to do.
    """
    picked = mlflow.version.value
    if model.mlflow_version != picked:
        raise ValueError(
            f"{asset} was made with MLflow {model.mlflow_version} (run "
            f"{model.mlflow_run_id}), but resources.mlflow.config.version is "
            f'"{picked}". Pick that version, or make {asset} again too.'
        )
