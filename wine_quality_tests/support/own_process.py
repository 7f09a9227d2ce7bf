"""``materialize()`` in the process of one version's environment, as a script or a notebook does.

``python -m wine_quality_tests.support.own_process SCENARIO VERSION URI EXPERIMENT``; prints one
JSON line. Run by ``test_own_process`` with the interpreter of each version.
"""

import json
import sys
from typing import Any

from dagster import DagsterInstance, asset, materialize

from wine_quality.defs.data.raw_wine_csv import raw_wine_csv
from wine_quality.defs.data.train_test_split import train_test_split
from wine_quality.defs.io_manager import PlainFormatIOManager
from wine_quality.defs.model.elasticnet_model import elasticnet_model
from wine_quality.defs.model.evaluation_metrics import evaluation_metrics
from wine_quality.defs.model.hyperparameters import Hyperparameters
from wine_quality.defs.model.registered_model import registered_model
from wine_quality.engines.resource import TrainingEngine
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.execution.failure_reasons import reasons_of
from wine_quality.history.wine_history import WineHistory
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.resource import MlflowTracker, VersionKey
from wine_quality.tracking.step_tags import opens_mlflow_run

GRAPH = [
    raw_wine_csv,
    train_test_split,
    elasticnet_model,
    evaluation_metrics,
    registered_model,
]
LONG = "0123456789" * 1000


def resources(key: str, uri: str, name: str) -> dict[str, Any]:
    return {
        "hyperparameters": Hyperparameters(),
        "mlflow": MlflowTracker(
            version=VersionKey(key),
            tracking_uri=uri,
            experiment_name=name,
            registered_model_name=name,
        ),
        "wine_history": WineHistory(),
        "training_engine": TrainingEngine(),
        "metrics_history": MetricsHistory(),
        "io_manager": PlainFormatIOManager(),
    }


def whole_then_part(instance: DagsterInstance, given: dict[str, Any]) -> dict[str, Any]:
    """Everything, then a part of the graph, then a part that fits no longer."""

    def run(*selection: Any, config: Any = None, raise_on_error: bool = True) -> Any:
        return materialize(
            GRAPH,
            instance=instance,
            resources=given,
            selection=list(selection) or None,
            run_config=config,
            raise_on_error=raise_on_error,
        )

    whole = run()
    part = run(evaluation_metrics, registered_model)
    run(train_test_split, config={"ops": {"train_test_split": {"config": {"seed": 41}}}})
    other = run(evaluation_metrics, raise_on_error=False)
    [failure] = other.get_step_failure_events()
    return {
        "success": [whole.success, part.success, other.success],
        "metrics": whole.asset_value("evaluation_metrics").metrics,
        "refusal": failure.step_failure_data.error.cause.message,
        "dagster_runs": [whole.run_id, part.run_id, other.run_id],
    }


def part_follows(instance: DagsterInstance, given: dict[str, Any]) -> dict[str, Any]:
    """A part of the graph, with no version in run config, where the resource's is another one."""
    built = given["mlflow"]
    others = [key for key in MLFLOW_VERSIONS if key != built.version.value]
    given["mlflow"] = MlflowTracker(
        version=VersionKey(others[0]),
        tracking_uri=built.tracking_uri,
        experiment_name=built.experiment_name,
        registered_model_name=built.registered_model_name,
    )

    def run(asset: Any = None, version: str | None = None) -> Any:
        config = {"resources": {"mlflow": {"config": {"version": version}}}} if version else {}
        return materialize(
            GRAPH,
            instance=instance,
            resources=given,
            selection=[asset] if asset else None,
            run_config=config,
            raise_on_error=False,
        )

    runs = {
        "whole": run(version=built.version.value),
        "metrics": run(evaluation_metrics),
        "registered": run(registered_model),
    }
    other = run(evaluation_metrics, others[1])
    messages = [entry.user_message for entry in instance.all_logs(runs["metrics"].run_id)]
    return {
        "success": {name: done.success for name, done in runs.items()},
        "dagster_runs": [done.run_id for done in runs.values()],
        "messages": [message for message in messages if "goes on with" in message],
        "other": reasons_of(other.all_events),
    }


def long_values(instance: DagsterInstance, given: dict[str, Any]) -> dict[str, Any]:
    @asset(op_tags=opens_mlflow_run())
    def elasticnet_model(mlflow: MlflowTracker) -> None:
        mlflow.tracker.log_params({"long": LONG, "short": "s"})
        mlflow.tracker.log_params({"long": LONG})  # again, as a retry does
        mlflow.tracker.set_tags({"long": LONG})

    done = materialize([elasticnet_model], instance=instance, resources=given)
    warnings = [
        entry.user_message
        for entry in instance.all_logs(done.run_id)
        if entry.level >= 30 and "cut to" in entry.user_message
    ]
    return {"success": done.success, "warnings": warnings}


def main(scenario: str, key: str, uri: str, name: str) -> dict[str, Any]:
    with DagsterInstance.get() as instance:
        return globals()[scenario](instance, resources(key, uri, name))


if __name__ == "__main__":
    print(json.dumps(main(*sys.argv[1:5])))
