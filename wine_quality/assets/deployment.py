"""``model_deployment``: a placeholder, for the checks to stand at."""

from dagster import MaterializeResult, asset

from wine_quality.assets.data import GROUP, OWNERS
from wine_quality.tracking.resource import MlflowTracker


@asset(group_name=GROUP, kinds={"mlflow"}, owners=OWNERS, code_version="1")
def model_deployment(mlflow: MlflowTracker, champion_model):
    """The champion, as it is served."""
    # With the mlflow resource: where each step has a process, the last one ends the MLflow run.
    return MaterializeResult(
        value={"name": champion_model["name"], "version": champion_model["champion"]},
        metadata={"version": champion_model["champion"] or "none"},
    )
