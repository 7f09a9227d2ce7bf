"""Write what MLflow's registry has into the history: models registered before there was one, or
while its database was down.

``python -m wine_quality.metrics_history.backfill VERSION URI MODEL REGISTRY``, in that
version's environment; an empty argument means the default.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from datetime import datetime, timezone
from typing import Any

from wine_quality.families.metrics import METRICS
from wine_quality.metrics_history.evaluation import Evaluation, MetricsHistoryError
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.tracking.registry.all_versions import versions_of


def evaluations(client: Any, client_version: str, model_name: str) -> Iterator[Evaluation]:
    """The evaluation of each registered version of a model that was trained by this project.

    Args:
        client: An ``MlflowClient``.
    """
    from mlflow.exceptions import MlflowException

    for version in versions_of(client, model_name):
        try:
            run = client.get_run(version.run_id) if version.run_id else None
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            run = None  # deleted for good, its version was not
        if run is None or "data_sha256" not in run.data.tags:
            continue
        yield Evaluation(
            time=datetime.fromtimestamp(run.info.start_time / 1000, timezone.utc),
            model_name=model_name,
            model_version=str(version.version),
            mlflow_version=_logged_with(run) or client_version,
            run_id=run.info.run_id,
            data_sha256=run.data.tags["data_sha256"],
            metrics={
                name: run.data.metrics[name]
                for known in METRICS.values()
                for name in known
                if name in run.data.metrics
            },
        )


def _logged_with(run: Any) -> str | None:
    """The MLflow version that logged the run's model, from the tag that MLflow before 3 sets; else
    None. Servers of MLflow 3 may also hold the models of older clients."""
    history = run.data.tags.get("mlflow.log-model.history")
    return json.loads(history)[-1].get("mlflow_version") if history else None


def main(key: str, uri: str, model: str, registry: str) -> int:
    from mlflow.exceptions import MlflowException

    from wine_quality.tracking.resource import MlflowTracker, VersionKey
    from wine_quality.tracking.servers.server_check import TrackingServerError

    mlflow = MlflowTracker(
        version=VersionKey(key), tracking_uri=uri or None, registry_uri=registry or None
    )
    name, history = model or mlflow.registered_model_name, MetricsHistory()
    try:
        tracker = mlflow.connect(print)
        found = list(evaluations(tracker.client, tracker.client_version, name))
        history.write(found, print)
    except (MetricsHistoryError, TrackingServerError, MlflowException) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    print(f"{len(found)} version(s) of {name} are in the history {history.database_name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
