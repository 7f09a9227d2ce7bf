"""``elasticnet_model``: fitted and logged."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.model import training_steps
from wine_quality.defs.model.freshness import model_freshness
from wine_quality.defs.model.hyperparameters import Hyperparameters
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.monitoring.drift import drift_check, drift_field
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import opens_mlflow_run
from wine_quality.wines.split import Split


class TrainingConfig(CheckedConfig):
    """Limits above which training data counts as drifted."""

    drift_threshold: float = drift_field()


@asset(
    group_name=GROUP,
    kinds={"scikitlearn", "mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[drift_check("elasticnet_model")],
    freshness_policy=model_freshness(),
    op_tags=opens_mlflow_run(),
)
@name_failing_server(retry_step=True)
def elasticnet_model(
    context: AssetExecutionContext,
    config: TrainingConfig,
    hyperparameters: Hyperparameters,
    mlflow: MlflowTracker,
    train_test_split: Split,
):
    """scikit-learn's ElasticNet, fitted on the training part and logged to MLflow."""
    picked = (hyperparameters.alpha, hyperparameters.l1_ratio, hyperparameters.random_state)
    mlflow.begin_run(context)
    done = training_steps.fit_and_log(mlflow, train_test_split, picked, config.drift_threshold)
    return MaterializeResult(value=done.value, metadata=done.metadata, check_results=done.checks)
