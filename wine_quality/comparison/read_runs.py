"""Reads runs with the client of one MLflow version.

``python -m wine_quality.comparison.read_runs`` in that version's environment: a ``Request`` as JSON
comes by stdin, an ``Answer`` for each store goes to stdout.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from wine_quality.comparison.compared_run import ComparedRun
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.escaping import escaped
from wine_quality.tracking.runs.child_runs import PARENT_TAG
from wine_quality.tracking.runs.experiments import experiments
from wine_quality.tracking.runs.run_tags import RUN_TAG

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

_PAGE = 1000
_LONGEST_ERROR = 300


@dataclass(frozen=True)
class Request:
    """The runs to look for, and the stores to search.

    Attributes:
        version: Key of the MLflow version of this environment.
        stores: Title by URI.
        mlflow_runs: Ids of MLflow runs.
        dagster_runs: Ids of Dagster runs, which their MLflow runs carry as a tag.
        best_in: Name of an experiment whose best finished run is wanted; empty: not wanted.
        metric: The metric that decides which run is best; lower is better.
    """

    version: str
    stores: dict[str, str]
    mlflow_runs: list[str] = field(default_factory=list)
    dagster_runs: list[str] = field(default_factory=list)
    best_in: str = ""
    metric: str = "rmse"


@dataclass(frozen=True)
class Answer:
    """The runs that were found in one store.

    Attributes:
        error: Why it could not be read; or empty.
    """

    uri: str
    runs: list[ComparedRun]
    error: str = ""


def read(request: Request) -> list[Answer]:
    """One answer for each store, in their order."""
    return [_read_store(request, uri, title) for uri, title in request.stores.items()]


def _read_store(request: Request, uri: str, title: str) -> Answer:
    from wine_quality.tracking.connection import connect, tracking_settings

    version = get_version(request.version)
    try:
        tracker = connect(version, tracking_settings(version, uri), _warn)
        found = {run.info.run_id: run for run in _wanted(tracker.client, request)}
        return Answer(uri, [_shown(tracker, run, title) for run in found.values()])
    except Exception as error:  # any error: the other stores are read all the same
        return Answer(uri, [], escaped(error)[:_LONGEST_ERROR] or type(error).__name__)


def _warn(text: str) -> None:
    print(text, file=sys.stderr)


def _wanted(client: Any, request: Request) -> Iterator[Any]:
    for run_id in request.mlflow_runs:
        run = _run(client, run_id)
        if run is not None:
            yield run
    if request.dagster_runs:
        known = [experiment.experiment_id for experiment in experiments(client)]
        for run_id in request.dagster_runs:
            yield from _made_by(client, known, run_id)
    if request.best_in:
        yield from _best(client, request.best_in, request.metric)


def _run(client: Any, run_id: str) -> Any | None:
    from mlflow.exceptions import MlflowException

    try:
        return client.get_run(run_id)
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def _made_by(client: Any, known: list[str], dagster_run: str) -> Iterator[Any]:
    """Runs that carry the Dagster run's id, not those below them."""
    named = f"tags.`{RUN_TAG}` = '{dagster_run}'"
    for start in range(0, len(known), _PAGE):
        for run in client.search_runs(known[start : start + _PAGE], named):
            if PARENT_TAG not in run.data.tags:
                yield run


def _best(client: Any, experiment_name: str, metric: str) -> Iterator[Any]:
    experiment = client.get_experiment_by_name(experiment_name)
    if experiment is None:
        return
    found = client.search_runs(
        [experiment.experiment_id],
        "attributes.status = 'FINISHED'",
        order_by=[f"metrics.`{metric}` ASC"],
        max_results=1,
    )
    # Runs without the metric come last, and those whose metric is not a number.
    yield from (run for run in found if run.data.metrics.get(metric, float("nan")) < float("inf"))


def _shown(tracker: Tracker, run: Any, title: str) -> ComparedRun:
    info, tags = run.info, run.data.tags
    notes: list[str] = []
    if info.lifecycle_stage == "deleted":
        notes.append("the run was deleted in MLflow")
    return ComparedRun(
        version=tracker.settings.version,
        client=tracker.client_version,
        store=title,
        run_id=info.run_id,
        name=tags.get("mlflow.runName", ""),
        experiment=tracker.client.get_experiment(info.experiment_id).name,
        status=info.status,
        started=info.start_time,
        ended=info.end_time or None,
        dagster_run=tags.get(RUN_TAG, ""),
        data_sha256=tags.get("data_sha256", ""),
        git_commit=tags.get("mlflow.source.git.commit", ""),
        params=dict(run.data.params),
        metrics=dict(run.data.metrics),
        coefficients=_coefficients(tracker, info.run_id, notes),
        registered=_registered(tracker, info.run_id, notes),
        url=tracker.pages.run(info.experiment_id, info.run_id),
        notes=tuple(notes),
    )


def _coefficients(tracker: Tracker, run_id: str, notes: list[str]) -> dict[str, float]:
    """Coefficients by feature, from the JSON of the training record; no model is loaded."""
    try:
        record = tracker.read_training_record(run_id)
        model = record.get("model") if record else None
        if model is None:
            return {}
        named = {"intercept": model["intercept"]}
        named.update(zip(model["features"], model["coefficients"], strict=True))
        return {feature: float(weight) + 0.0 for feature, weight in named.items()}  # no -0.0
    except Exception as error:  # the artifact store may be away while the server answers
        notes.append(f"its coefficients could not be read: {escaped(error)[:_LONGEST_ERROR]}")
        return {}


def _registered(tracker: Tracker, run_id: str, notes: list[str]) -> tuple[str, ...]:
    from wine_quality.tracking.registry.roles import STAGES, RoleConflictError

    found = []
    for version in tracker.client.search_model_versions(f"run_id='{run_id}'"):
        registry, number, roles = tracker.registry(version.name), str(version.version), []
        for role in STAGES:
            try:
                if registry.holder(role) == number:
                    roles.append(role)
            except RoleConflictError as conflict:
                notes.append(str(conflict))
        found.append(f"{version.name} version {number}{''.join(f', {role}' for role in roles)}")
    return tuple(sorted(found))


def main() -> None:
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    request = Request(**json.load(sys.stdin))
    with redirect_stdout(sys.stderr):  # MLflow prints too
        answers = read(request)
    json.dump([asdict(answer) for answer in answers], sys.stdout)


if __name__ == "__main__":
    main()
