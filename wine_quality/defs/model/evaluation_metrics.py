"""``evaluation_metrics``: of the model on the held-out part."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from wine_quality.defs import checks
from wine_quality.defs.model import training_steps, trend
from wine_quality.defs.model.training_identity import require_same_split
from wine_quality.defs.model.values import TrainedModel
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.engines.resource import TrainingEngine
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of
from wine_quality.wines.split import Split


@asset(
    group_name=GROUP,
    kinds={"scikitlearn", "mlflow"},
    owners=OWNERS,
    code_version="1",
    check_specs=[checks.IN_SCALE, checks.BEATS_MEAN],
    op_tags=continues_mlflow_run_of("elasticnet_model"),
)
@name_failing_server(retry_step=True)
def evaluation_metrics(
    context: AssetExecutionContext,
    mlflow: MlflowTracker,
    metrics_history: MetricsHistory,
    training_engine: TrainingEngine,
    train_test_split: Split,
    elasticnet_model: TrainedModel,
):
    """RMSE, MAE and R² of the model on the test part, with plots.

    With a metrics history (``WINE_QUALITY_METRICS_URL``) one plot shows earlier versions too.
    """
    training_steps.require_same_version(mlflow, elasticnet_model)
    require_same_split(elasticnet_model.data, train_test_split.data)
    tracker = mlflow.continue_run(context, elasticnet_model.its_training)
    done = training_steps.evaluate_and_log(
        tracker, train_test_split, elasticnet_model, training_engine.open
    )
    metrics = done.value.metrics
    shown = trend.log_trend(mlflow, metrics_history, elasticnet_model, metrics, context.log.warning)
    return MaterializeResult(
        value=done.value, metadata={**done.metadata, **shown}, check_results=done.checks
    )
