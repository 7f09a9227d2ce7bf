"""``elasticnet_model``, ``evaluation_metrics`` and ``registered_model``."""

from dagster import AssetExecutionContext, MaterializeResult, asset
from pydantic import Field

from wine_quality.assets import checks, recipe, trend
from wine_quality.assets.data import GROUP, OWNERS
from wine_quality.assets.freshness import model_freshness
from wine_quality.assets.hyperparameters import Hyperparameters
from wine_quality.assets.parts import require_metrics_of_model, require_same_split
from wine_quality.config_fields import CheckedConfig
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.splits.split import split_of
from wine_quality.tracking.links import mlflow_link, which_mlflow
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.server_check import server_named
from wine_quality.tracking.training import KEY, Training
from wine_quality.training_engine import TrainingEngine


class TrainingConfig(CheckedConfig):
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
@server_named()
def elasticnet_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    hyperparameters: Hyperparameters,
    mlflow: MlflowTracker,
    train_test_split,
):
    """scikit-learn's ElasticNet, fitted on the training part and logged to MLflow."""
    picked = (hyperparameters.alpha, hyperparameters.l1_ratio, hyperparameters.random_state)
    split = split_of(train_test_split)
    done = recipe.fit_and_log(mlflow, split, picked, config.drift_threshold)
    return MaterializeResult(value=done.value, metadata=done.metadata, check_results=done.checks)


@asset(
    group_name=GROUP,
    kinds={"scikitlearn", "mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[checks.IN_SCALE, checks.BEATS_MEAN],
)
@server_named()
def evaluation_metrics(
    context: AssetExecutionContext,
    mlflow: MlflowTracker,
    metrics_history: MetricsHistory,
    training_engine: TrainingEngine,
    train_test_split,
    elasticnet_model,
):
    """RMSE, MAE and R² on the held-out part, with plots; the models before are in one of them
    where a metrics history is kept."""
    recipe.require_same_version(mlflow, elasticnet_model)
    split, model = split_of(train_test_split), elasticnet_model["model"]
    require_same_split(elasticnet_model["data"], split.data)
    tracker = mlflow.continue_run(context, Training.required(elasticnet_model, "elasticnet_model"))
    done = recipe.evaluate_and_log(tracker, split, model, training_engine.open)
    metrics = done.value["metrics"]
    shown = trend.log_trend(mlflow, metrics_history, elasticnet_model, metrics, context.log.warning)
    return MaterializeResult(
        value=done.value, metadata={**done.metadata, **shown}, check_results=done.checks
    )


@asset(
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    code_version="1",
    metadata=which_mlflow(),
)
@server_named()
def registered_model(
    context: AssetExecutionContext,
    mlflow: MlflowTracker,
    metrics_history: MetricsHistory,
    elasticnet_model,
    evaluation_metrics,
):
    """A version of the registered model, made once however often this run is retried."""
    recipe.require_same_version(mlflow, elasticnet_model)
    require_metrics_of_model(mlflow.tracker, elasticnet_model, evaluation_metrics)
    tracker = mlflow.continue_run(context, Training.required(elasticnet_model, "elasticnet_model"))
    name, metrics = mlflow.registered_model_name, evaluation_metrics["metrics"]
    version = recipe.register(mlflow, elasticnet_model, metrics, context.run.run_id)
    kept = trend.keep(mlflow, metrics_history, elasticnet_model, metrics, version, context.log)
    return MaterializeResult(
        value={
            "name": name,
            "version": version,
            "run_id": tracker.require_run_id(),
            KEY: tracker.require_training().to_json(),
        },
        metadata={
            "name": name,
            "version": version,
            "mlflow_run_id": tracker.require_run_id(),
            "experiment": tracker.experiment_name,
            "model_version": mlflow_link(tracker.model_version_url(name, version)),
            "mlflow_run": mlflow_link(tracker.run_url),
            **metrics,
            **kept,
        },
    )
