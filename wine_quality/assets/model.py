"""``elasticnet_model``, ``evaluation_metrics`` and ``registered_model``."""

import json

from dagster import (
    AssetCheckResult,
    AssetExecutionContext,
    Config,
    MaterializeResult,
    MetadataValue,
    asset,
)
from pydantic import Field

from wine_quality.assets import checks
from wine_quality.assets.data import GROUP, OWNERS
from wine_quality.assets.freshness import model_freshness
from wine_quality.assets.hyperparameters import Hyperparameters
from wine_quality.tracking.champion import CHAMPION
from wine_quality.tracking.resource import MlflowTracker


class TrainingConfig(Config):
    """When training data counts as drifted."""

    drift_threshold: float = Field(
        default=0.25,
        gt=0,
        description="Population stability index above which a column has drifted.",
    )


@asset(
    group_name=GROUP,
    kinds={"scikitlearn", "mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[checks.DRIFT],
    freshness_policy=model_freshness(),
)
def elasticnet_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    hyperparameters: Hyperparameters,
    mlflow: MlflowTracker,
    train_test_split,
):
    """scikit-learn's ElasticNet, fitted on the training part and logged to MLflow."""
    from wine_quality.data.contract import FEATURES
    from wine_quality.training.compare import profile
    from wine_quality.training.fit import LinearModel, fit_elastic_net
    from wine_quality.training.split import part_of

    tracker = mlflow.tracker
    train = part_of(train_test_split, "train")
    estimator = fit_elastic_net(
        train, hyperparameters.alpha, hyperparameters.l1_ratio, hyperparameters.random_state
    )
    data = train_test_split.attrs
    tracker.set_tags({"data_sha256": data["data_sha256"], "data_source": data["source"]})
    tracker.log_params(
        {
            "alpha": hyperparameters.alpha,
            "l1_ratio": hyperparameters.l1_ratio,
            "random_state": hyperparameters.random_state,
            "train_rows": len(train),
            "test_fraction": data["test_fraction"],
            "split_seed": data["split_seed"],
            "data_sha256": data["data_sha256"],
            # Not in values that were stored before there was a choice.
            "training_data": data.get("training_data", "newest"),
            "data_files": data.get("data_files", 1),
        }
    )
    tracker.log_dataset(train, data["source"], "wine_quality_train")
    model_uri = tracker.log_model(estimator, train[list(FEATURES)].head(2))
    model = LinearModel.of(estimator, FEATURES)
    tracker.log_training_record({"model": json.loads(model.to_json()), "profile": profile(train)})
    return MaterializeResult(
        check_results=[_drift(mlflow, train, config.drift_threshold)],
        value={
            "model": json.loads(model.to_json()),
            "model_uri": model_uri,
            "mlflow_run_id": tracker.require_run_id(),
            "mlflow_version": mlflow.version.value,
            "data": data,
        },
        metadata={
            "alpha": hyperparameters.alpha,
            "l1_ratio": hyperparameters.l1_ratio,
            "nonzero_coefficients": sum(c != 0 for c in model.coefficients),
            "iterations": int(estimator.n_iter_),
            "mlflow_client": tracker.client_version,
            "mlflow_run": MetadataValue.url(tracker.run_url),
            "model_uri": model_uri,
            "train_rows": len(train),
            "data_sha256": data["data_sha256"],
        },
    )


def _drift(mlflow: MlflowTracker, train, threshold: float) -> AssetCheckResult:
    """How the training data differs from the champion's."""
    from wine_quality.training.compare import population_stability

    registry = mlflow.tracker.registry(mlflow.registered_model_name)
    champion = registry.holder(CHAMPION)
    version = registry.version(champion) if champion else None
    record = mlflow.tracker.load_training_record(version.run_id) if version else None
    stability = population_stability(train, record["profile"]) if record else None
    return checks.drift_against_champion(stability, champion, threshold)


@asset(
    group_name=GROUP,
    kinds={"scikitlearn", "mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[checks.IN_SCALE, checks.BEATS_MEAN],
)
def evaluation_metrics(
    context: AssetExecutionContext, mlflow: MlflowTracker, train_test_split, elasticnet_model
):
    """RMSE, MAE and R² on the held-out part, with plots."""
    import base64

    import numpy as np

    from wine_quality.data.contract import COLUMNS, TARGET
    from wine_quality.training import plots
    from wine_quality.training.evaluate import regression_metrics
    from wine_quality.training.fit import LinearModel
    from wine_quality.training.split import part_of

    require_same_version(mlflow, elasticnet_model)
    require_same_split(elasticnet_model["data"], train_test_split.attrs)
    tracker = mlflow.continue_run(context, elasticnet_model["mlflow_run_id"])
    model = LinearModel.from_json(json.dumps(elasticnet_model["model"]))
    test = part_of(train_test_split, "test")
    actual, predicted = test[TARGET].to_numpy(), model.predict(test)
    metrics = regression_metrics(actual, predicted)
    mean = part_of(train_test_split, "train")[TARGET].mean()
    baseline = regression_metrics(actual, np.full(len(actual), mean))["rmse"]
    tracker.log_metrics(metrics)
    shown = {}
    for name, figure in {
        "predicted_against_actual": plots.predicted_against_actual(actual, predicted),
        "residuals": plots.residuals(actual, predicted),
        "coefficients": plots.coefficients(model),
    }.items():
        png = plots.to_png(figure)
        tracker.log_figure(png, f"plots/{name}.png")
        encoded = base64.b64encode(png).decode()
        shown[name] = MetadataValue.md(f"![{name}](data:image/png;base64,{encoded})")
    scale = COLUMNS[TARGET]
    return MaterializeResult(
        check_results=[
            checks.predictions_in_scale(predicted, scale.minimum, scale.maximum),
            checks.beats_predicting_the_mean(metrics["rmse"], baseline),
        ],
        value={"metrics": metrics, "test_rows": len(test)},
        metadata={
            **metrics,
            "test_rows": len(test),
            "mlflow_run": MetadataValue.url(tracker.run_url),
            **shown,
        },
    )


@asset(group_name=GROUP, kinds={"mlflow"}, owners=OWNERS, code_version="1")
def registered_model(
    context: AssetExecutionContext, mlflow: MlflowTracker, elasticnet_model, evaluation_metrics
):
    """A version of the registered model, made once however often this run is retried."""
    from wine_quality.tracking.run_tags import git_commit

    require_same_version(mlflow, elasticnet_model)
    tracker = mlflow.continue_run(context, elasticnet_model["mlflow_run_id"])
    metrics = evaluation_metrics["metrics"]
    name = mlflow.registered_model_name
    version = tracker.register(
        elasticnet_model["model_uri"],
        name,
        tags={
            "dagster.run_id": context.run.run_id,
            "data_sha256": elasticnet_model["data"]["data_sha256"],
            "git_commit": git_commit(),
        },
        description=", ".join(f"{key} {value:.6f}" for key, value in metrics.items()),
    )
    return MaterializeResult(
        value={"name": name, "version": version, "run_id": tracker.require_run_id()},
        metadata={
            "name": name,
            "version": version,
            "mlflow_run_id": tracker.require_run_id(),
            "experiment": mlflow.experiment_name,
            "model_version": MetadataValue.url(tracker.model_version_url(name, version)),
            "mlflow_run": MetadataValue.url(tracker.run_url),
            **metrics,
        },
    )


def require_same_version(mlflow: MlflowTracker, model: dict) -> None:
    """Another version's client may not be able to go on with the MLflow run.

    Raises:
        ValueError: names both versions and what to do.
    """
    picked = mlflow.version.value
    if model["mlflow_version"] != picked:
        raise ValueError(
            f"elasticnet_model was trained with MLflow {model['mlflow_version']} (run "
            f"{model['mlflow_run_id']}), but resources.mlflow.config.version is "
            f'"{picked}". Pick that version, or materialize elasticnet_model again too.'
        )


def require_same_split(trained_on: dict, given: dict) -> None:
    """Rows the model was trained on must not count as held out.

    Raises:
        ValueError: names what differs and what to do.
    """
    differing = [key for key in trained_on if trained_on[key] != given.get(key)]
    if differing:
        raise ValueError(
            "elasticnet_model was trained on another split than the train_test_split given now "
            f"(they differ in {', '.join(differing)}). Materialize elasticnet_model again too."
        )
