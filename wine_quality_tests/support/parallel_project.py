"""A project whose two trainings need each other to be at work at the same time.

Files in $WINE_QUALITY_TEST_FOLDER name what goes wrong: ``left.fails``, ``left.dies``,
``left.waits`` (for ever), ``left.fails-once``.
"""

import os
import signal
from pathlib import Path

import dagster as dg
import mlflow as plain_mlflow

from wine_quality.tracking_api import MlflowTracking, TrackedRun
from wine_quality_tests.support.forked_steps import forked_steps
from wine_quality_tests.support.servers import await_condition

mlflow = MlflowTracking(experiment="parallel", registered_model=None)


def folder() -> Path:
    return Path(os.environ["WINE_QUALITY_TEST_FOLDER"])


def work(name: str, other: str) -> None:
    """Be at work until the other is, too; then what the files name."""
    (folder() / f"{name}.works").write_text(str(os.getpid()))
    await_condition((folder() / f"{other}.works").exists, f"{other} at the same time", 60)
    plain_mlflow.log_param(name, "at work")
    if (folder() / f"{name}.fails").exists():
        raise ValueError(f"{name} cannot")
    once = folder() / f"{name}.fails-once"
    if once.exists():
        once.unlink()
        raise ValueError(f"{name} cannot yet")
    if (folder() / f"{name}.dies").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    if (folder() / f"{name}.waits").exists():
        await_condition(lambda: False, "the end", 600)
    plain_mlflow.log_metric(name, 1.0)


@dg.asset(retry_policy=dg.RetryPolicy(max_retries=1))
@mlflow.trains
def left(run: TrackedRun) -> int:
    work("left", "right")
    return 1


@dg.asset
@mlflow.trains
def right(run: TrackedRun) -> int:
    work("right", "left")
    return 2


@dg.asset
def total(left: int, right: int) -> int:
    """It has no MLflow run, and is the last."""
    return left + right


def both() -> dg.JobDefinition:
    parts = dg.Definitions(
        assets=[left, right, total],
        jobs=[dg.define_asset_job("both", dg.AssetSelection.all())],
    )
    return dg.Definitions.merge(parts, mlflow.definitions()).resolve_job_def("both")


def both_by_dagster() -> dg.JobDefinition:
    """Under Dagster's own multi-process executor."""
    executor = dg.multiprocess_executor.configured(
        {"max_concurrent": 2, "start_method": forked_steps()}
    )
    parts = dg.Definitions(
        assets=[left, right, total],
        jobs=[dg.define_asset_job("both_by_dagster", executor_def=executor)],
    )
    return dg.Definitions.merge(parts, mlflow.definitions()).resolve_job_def("both_by_dagster")
