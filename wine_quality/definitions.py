"""The code location: all that ``defs`` holds, the executor and the loggers.

Assets, checks, jobs, schedules and sensors are found by themselves, wherever they stand in
``defs`` at the top level of a module.
"""

import warnings

from dagster import PreviewWarning, load_definitions_from_package_module

from wine_quality import defs as folder
from wine_quality.defs.resources import resources
from wine_quality.execution import progress
from wine_quality.execution.executor import mlflow_environment_executor

with warnings.catch_warnings():
    # load_from_defs_folder is not a preview, but finds the folder by pyproject.toml: no wheel.
    warnings.simplefilter("ignore", PreviewWarning)
    defs = load_definitions_from_package_module(
        folder,
        resources=resources(),
        loggers={"console": progress.console_logger, progress.NAME: progress.progress_logger},
        executor=mlflow_environment_executor,
    )
