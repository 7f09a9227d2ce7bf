"""Every field of run config that takes text, and what holds it.

A field either has a check here, which runs before anything else of a run; or it is checked where it
is used; or it can name neither a host, a path, a command nor a variable, for the reason given. The
tests walk all config schemas of the code location: a new field without an entry fails them.
Numbers, truths and choices of a list need none. ``{env: NAME}`` is looked at in all of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from wine_quality.policy import databases, names, places, spark
from wine_quality.policy.settings import ForbiddenConfigError

Check = Callable[[Any, str], object]
"""Gets the value and the field's name; raises when it is not allowed."""

_SOURCE = "sources.allowed_sources.check_allowed, at each hop and each file that is opened"
_QUANTITY = "deployment.quantities takes a number with a unit, and nothing else"
_KUBERNETES = "deployment.manifest_settings takes names of Kubernetes, no host, path or command"
_SECRET = (
    "the name of a Secret in the cluster, which only the image gets that the policy has checked; "
    + _KUBERNETES
)
_COLUMN = "a column of a file, looked up in its schema and quoted in SQL"
_EXAMPLE = "text of secret.example.yaml, which nobody applies or connects to"
_MANIFESTS = "ops.model_deployment.config.manifests"

CHECKED: Mapping[str, Check] = {
    "ops.batch_predictions.config.output": places.check_output,
    "ops.batch_predictions.config.version": lambda value, field: (
        not value or names.check_version_number(value, field)
    ),
    "ops.model_deployment.config.base_path": places.check_output,
    "ops.model_deployment.config.endpoint": places.check_endpoint,
    "ops.model_deployment.config.local_server": places.check_endpoint,
    "ops.model_deployment.config.version": lambda value, field: (
        not value or names.check_version_number(value, field)
    ),
    f"{_MANIFESTS}.image": places.check_image,
    "ops.promote_version.config.version": lambda value, field: (
        not value or names.check_version_number(value, field)
    ),
    "ops.return_to_version.config.version": lambda value, field: (
        not value or names.check_version_number(value, field)
    ),
    "resources.io_manager.config.base_path": places.check_output,
    "resources.metrics_history.config.url": lambda value, _field: (
        not value or databases.allowed_metrics_url(value)
    ),
    "resources.mlflow.config.experiment_name": names.check_experiment_name,
    "resources.mlflow.config.registered_model_name": names.check_model_name,
    "resources.mlflow.config.ui_url": places.check_link,
    "resources.training_engine.config.spark_master": lambda value, _field: spark.check_master(
        value
    ),
    "resources.training_engine.config.spark_options": lambda value, _field: spark.check_options(
        value
    ),
    "resources.wine_history.config.base_path": places.check_output,
}
"""Checked before the run begins, by this table."""

CHECKED_WHERE_USED: Mapping[str, str] = {
    "ops.batch_predictions.config.source": f"{_SOURCE}; sources.table.find_table, of tables",
    "ops.batch_predictions_live_error.config.labels": _SOURCE,
    "ops.batch_predictions_live_error.config.predictions": _SOURCE,
    "ops.raw_wine_csv.config.csv_url": _SOURCE,
    "ops.sweep_data.config.csv_url": _SOURCE,
    "resources.mlflow.config.tracking_uri": "tracking.servers.addresses.allowed_tracking_uri, "
    "which knows the MLflow version that was picked and hands on the environment's own address",
    "resources.mlflow.config.registry_uri": "tracking.servers.addresses.allowed_registry_uri, as "
    "tracking_uri",
}
"""Checked by the function that is named."""

HARMLESS: Mapping[str, str] = {
    "loggers.console.config.log_level": "Dagster takes the name of a level",
    "loggers.console.config.name": "the name of a logger, shown in lines of the log",
    "loggers.progress.config": "the logger takes no config",
    "ops": "Dagster refuses names of ops that are not of the job",
    "ops.batch_predictions.config.key": _COLUMN,
    "ops.batch_predictions_live_error.config.label": _COLUMN,
    "ops.evaluation_metrics.config": "the asset takes no config",
    "ops.registered_model.config": "the asset takes no config",
    "ops.model_deployment.config.endpoint_headers": "requests refuses line breaks in headers, and "
    "they go to the checked endpoint only",
    "ops.model_deployment.config.kubernetes_context": "a context of the operator's own kubeconfig; "
    "kubectl gets it as the value of one option",
    f"{_MANIFESTS}.cpu_limit": _QUANTITY,
    f"{_MANIFESTS}.cpu_request": _QUANTITY,
    f"{_MANIFESTS}.environment_secret": _SECRET,
    f"{_MANIFESTS}.image_pull_policy": "one of three words",
    f"{_MANIFESTS}.kserve_mode": "one of three words",
    f"{_MANIFESTS}.labels": _KUBERNETES,
    f"{_MANIFESTS}.memory_limit": _QUANTITY,
    f"{_MANIFESTS}.memory_request": _QUANTITY,
    f"{_MANIFESTS}.name": _KUBERNETES,
    f"{_MANIFESTS}.namespace": "a namespace that the operator's context may write to; "
    + _KUBERNETES,
    f"{_MANIFESTS}.seldon_v1_predictor": _KUBERNETES,
    f"{_MANIFESTS}.seldon_v2_model_memory": _QUANTITY,
    f"{_MANIFESTS}.seldon_v2_server_config": _KUBERNETES,
    f"{_MANIFESTS}.storage_endpoint": _EXAMPLE,
    f"{_MANIFESTS}.storage_provider": _EXAMPLE,
    f"{_MANIFESTS}.storage_region": _EXAMPLE,
    f"{_MANIFESTS}.storage_secret": _SECRET,
    "resources": "Dagster refuses names of resources that are not of the job",
    "resources.training_engine.config.memory_limit": "DuckDB takes a size, as a value, not as SQL",
}
"""Why no check is needed."""


def check_fields(run_config: Mapping[str, Any]) -> None:
    """Hold each field that run config gives against its check.

    Raises:
        ForbiddenConfigError: one is not allowed; the message names it, and the setting.
    """
    _check_inputs(run_config)
    for field, check in CHECKED.items():
        value = _value_at(run_config, field.split("."))
        if value is None:
            continue
        try:
            check(_plain(value), field)
        except names.BadNameError as error:
            raise ForbiddenConfigError(str(error)) from error


def _check_inputs(run_config: Mapping[str, Any]) -> None:
    """Inputs come from the steps before. When a launch picks some of a job's ops, Dagster takes
    those of the others from run config, and unpickles any file that is named there."""
    for op, given in (run_config.get("ops") or {}).items():
        more = sorted(set(given) - {"config"}) if isinstance(given, Mapping) else []
        if more:
            raise ForbiddenConfigError(
                f"ops.{op}.{more[0]} is in the run config, but an op takes nothing from there but "
                "its config: launch the whole job, or re-execute a run from the step on."
            )


def _value_at(config: Any, path: list[str]) -> Any:
    for part in path:
        if not isinstance(config, Mapping):
            return None
        config = config.get(part)
    return config


def _plain(value: Any) -> Any:
    """With the values of variables, which were allowed before."""
    if isinstance(value, Mapping):
        if set(value) == {"env"}:
            return os.environ.get(str(value["env"]), "")
        return {str(key): _plain(one) for key, one in value.items()}
    return value


def all_fields() -> Iterator[str]:
    """Names of all fields that are listed."""
    yield from (*CHECKED, *CHECKED_WHERE_USED, *HARMLESS)
