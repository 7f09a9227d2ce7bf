"""The one place that composes: assets, job, sensors, resources, executor."""

import os

from dagster import Definitions, JobDefinition, load_assets_from_modules

from wine_quality.assets import data, model
from wine_quality.assets.hyperparameters import Hyperparameters
from wine_quality.environments.executor import mlflow_environment_executor
from wine_quality.environments.versions import DEFAULT_VERSION
from wine_quality.jobs import wine_quality_model
from wine_quality.sensors import mlflow_run_closer
from wine_quality.storage import plain_format_io_manager
from wine_quality.tracking.resource import MlflowTracker

defs = Definitions(
    assets=load_assets_from_modules([data, model]),
    jobs=[wine_quality_model],
    sensors=[mlflow_run_closer],
    resources={
        "hyperparameters": Hyperparameters(),
        "mlflow": MlflowTracker(version=os.environ.get("WINE_QUALITY_MLFLOW", DEFAULT_VERSION)),
        "io_manager": plain_format_io_manager,
    },
    executor=mlflow_environment_executor,
)


def main_job() -> JobDefinition:
    """``wine_quality_model`` for processes that load it by name (the CLI and its children)."""
    return defs.resolve_job_def(wine_quality_model.name)
