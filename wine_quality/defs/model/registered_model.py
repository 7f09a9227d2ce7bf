"""``registered_model``: a version of it in MLflow's registry."""

from dagster import AssetExecutionContext, MaterializeResult, asset

from wine_quality.defs.model import training_steps, trend
from wine_quality.defs.model.training_identity import require_metrics_of_model
from wine_quality.defs.model.values import EvaluatedModel, RegisteredVersion, TrainedModel
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link, versions_page_link
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import continues_mlflow_run_of


@asset(
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    code_version="1",
    metadata=versions_page_link(),
    op_tags=continues_mlflow_run_of("elasticnet_model"),
)
@name_failing_server(retry_step=True)
def registered_model(
    context: AssetExecutionContext,
    mlflow: MlflowTracker,
    metrics_history: MetricsHistory,
    elasticnet_model: TrainedModel,
    evaluation_metrics: EvaluatedModel,
):
    """A version of the registered model. A retry makes no second version."""
    training_steps.require_same_version(mlflow, elasticnet_model)
    require_metrics_of_model(mlflow.tracker, elasticnet_model, evaluation_metrics)
    tracker = mlflow.continue_run(context, elasticnet_model.its_training)
    name, metrics = mlflow.registered_model_name, evaluation_metrics.metrics
    version = training_steps.register(mlflow, elasticnet_model, metrics, context.run.run_id)
    kept = trend.keep(mlflow, metrics_history, elasticnet_model, metrics, version, context.log)
    return MaterializeResult(
        value=RegisteredVersion(
            name, version, tracker.require_run_id(), tracker.require_training()
        ),
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
