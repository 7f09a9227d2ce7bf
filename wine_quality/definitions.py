"""The one place that composes: assets, job, sensors, resources, executor."""

from dagster import (
    Definitions,
    JobDefinition,
    load_asset_checks_from_modules,
    load_assets_from_modules,
)

from wine_quality.defs.champion import champion_model
from wine_quality.defs.champion.jobs import wine_quality_promotion, wine_quality_rollback
from wine_quality.defs.data import raw_wine_csv, train_test_split
from wine_quality.defs.data.new_file_sensor import WatchedPlace, watching_sensor
from wine_quality.defs.data.wine_files import WINE_FILES
from wine_quality.defs.deployment import model_deployment
from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.defs.jobs import (
    wine_quality_deployment,
    wine_quality_live_check,
    wine_quality_model,
)
from wine_quality.defs.model import elasticnet_model, evaluation_metrics, registered_model
from wine_quality.defs.model.hyperparameters import Hyperparameters
from wine_quality.defs.monitoring import live_checks
from wine_quality.defs.notices.sensors import notice_sensors
from wine_quality.defs.schedules import live_check_schedule, retraining_schedule
from wine_quality.defs.sweep.hyperparameter_sweep import hyperparameter_sweep, wine_quality_sweep
from wine_quality.defs.upkeep.mlflow_run_closer import mlflow_run_closer
from wine_quality.defs.upkeep.retention import retention_schedule, wine_quality_retention
from wine_quality.engines.resource import TrainingEngine
from wine_quality.environments.versions import default_version
from wine_quality.execution import progress
from wine_quality.execution.executor import mlflow_environment_executor
from wine_quality.history.wine_history import WineHistory
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker, VersionKey

watch = WatchedPlace.from_environment()
defs = Definitions(
    assets=[
        WINE_FILES,
        *load_assets_from_modules(
            [
                raw_wine_csv,
                train_test_split,
                elasticnet_model,
                evaluation_metrics,
                registered_model,
                champion_model,
                model_deployment,
            ]
        ),
        hyperparameter_sweep,
    ],
    asset_checks=load_asset_checks_from_modules([live_checks]),
    jobs=[
        wine_quality_model,
        wine_quality_sweep,
        wine_quality_promotion,
        wine_quality_rollback,
        wine_quality_deployment,
        wine_quality_live_check,
        wine_quality_retention,
    ],
    schedules=[retraining_schedule(watch), live_check_schedule(), retention_schedule()],
    sensors=[mlflow_run_closer, watching_sensor(watch), *notice_sensors()],
    resources={
        "hyperparameters": Hyperparameters(),
        "mlflow": MlflowTracker(version=VersionKey(default_version())),
        "wine_history": WineHistory(),
        "training_engine": TrainingEngine(),
        "metrics_history": MetricsHistory(),
        "io_manager": PlainFormatIOManager(),
    },
    executor=mlflow_environment_executor,
    loggers={"console": progress.console_logger, progress.NAME: progress.progress_logger},
)


# For processes that load a job by name (the command line and its children).
def main_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_model.name)


def sweep_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_sweep.name)


def promotion_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_promotion.name)


def live_check_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_live_check.name)


def rollback_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_rollback.name)


def deployment_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_deployment.name)


def retention_job() -> JobDefinition:
    return defs.resolve_job_def(wine_quality_retention.name)
