"""Jobs that tests load by name, as run workers and their children do."""

import os
from typing import Any

from dagster import (
    AssetSelection,
    Config,
    Definitions,
    JobDefinition,
    RetryPolicy,
    asset,
    define_asset_job,
    graph,
    multiprocess_executor,
    op,
)

from wine_quality.definitions import defs
from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.tracking.resource import MlflowTracker
from wine_quality_tests.support.forked_steps import forked_steps

NOWHERE = "http://127.0.0.1:9"


def _over_all_assets(name: str, **arguments: Any) -> JobDefinition:
    job = define_asset_job(name, AssetSelection.all(), **arguments)
    return Definitions(
        assets=defs.assets, jobs=[job], resources=defs.resources, executor=defs.executor
    ).resolve_job_def(name)


def retrying() -> JobDefinition:
    """The five assets, each step tried twice."""
    return _over_all_assets("retrying", op_retry_policy=RetryPolicy(max_retries=1))


def process_per_step() -> JobDefinition:
    """The five assets under Dagster's own multi-process executor."""
    config = {"max_concurrent": 1, "start_method": forked_steps()}
    return _over_all_assets(
        "process_per_step", executor_def=multiprocess_executor.configured(config)
    )


class NumberConfig(Config):
    value: int


@asset
def number(config: NumberConfig) -> dict[str, int]:
    return {"value": config.value}


@asset
def doubled(number: dict[str, int]) -> dict[str, int]:
    if os.environ.get("WINE_QUALITY_TEST_FAULT"):
        raise RuntimeError("as told")
    return {"value": number["value"] * 2}


def numbers() -> JobDefinition:
    """Two assets over the project's storage."""
    return Definitions(
        assets=[number, doubled],
        jobs=[define_asset_job("numbers", AssetSelection.all())],
        resources={"io_manager": PlainFormatIOManager()},
        executor=defs.executor,
    ).resolve_job_def("numbers")


@asset
def failing() -> None:
    raise ValueError("what was wrong. Do this.")


def failing_step() -> JobDefinition:
    """One asset, which fails in its own words."""
    return Definitions(
        assets=[failing],
        jobs=[define_asset_job("failing_step", AssetSelection.all())],
        executor=defs.executor,
    ).resolve_job_def("failing_step")


def failing_resource() -> JobDefinition:
    """A resource that refuses: nobody listens at that address."""
    return Definitions(
        assets=defs.assets,
        jobs=[define_asset_job("failing_resource", AssetSelection.assets("elasticnet_model"))],
        resources={**(defs.resources or {}), "mlflow": MlflowTracker(tracking_uri=NOWHERE)},
        executor=defs.executor,
    ).resolve_job_def("failing_resource")


@op
def given_wines() -> int:
    return 1


@op
def untyped_input(wines) -> None:
    """Dagster offers to unpickle its input, when it alone is picked."""


@graph
def _two_ops() -> None:
    untyped_input(given_wines())


def untyped() -> JobDefinition:
    """Two ops that hand on a value without a type, under the project's executor."""
    return _two_ops.to_job("untyped", executor_def=defs.executor)
