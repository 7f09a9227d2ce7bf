"""All that a side has, object by object: deleted ones too, and none left out at the end of a page.

In the environment of the side's version.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from wine_quality.moves.marks import MODEL_TAG, STATE_TAG, origin_of
from wine_quality.tracking.registry.all_versions import versions_of
from wine_quality.tracking.runs.child_runs import PARENT_TAG

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

_PAGE = 500
_PROMPT = "mlflow.prompt.is_prompt"


def survey(tracker: Tracker, _question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Entries by ``kind``: ``experiment``, ``run``, ``logged_model``, ``model``, ``version``, and
    ``left_out`` for kinds that are not moved."""
    client = tracker.client
    ids = []
    for experiment in _experiments(client):
        ids.append(experiment.experiment_id)
        yield {
            "kind": "experiment",
            "id": experiment.experiment_id,
            "name": experiment.name,
            "lifecycle": experiment.lifecycle_stage,
            "tags": dict(experiment.tags or {}),
        }
    for experiment_id in ids:
        yield from _runs(client, experiment_id)
        yield from _logged_models(client, experiment_id)
        yield from _traces(client, experiment_id)
    yield from _registered(client)


def describe_version(found: Any) -> dict[str, Any]:
    """A model version, of any client."""
    return {
        "kind": "version",
        "model": found.name,
        "number": str(found.version),
        "created": found.creation_timestamp,
        "run": found.run_id or "",
        "source": found.source or "",
        "stage": getattr(found, "current_stage", None) or "None",
        "description": found.description or "",
        "tags": dict(found.tags or {}),
        "run_link": found.run_link or "",
        "model_id": getattr(found, "model_id", None) or "",
    }


def pages(ask: Callable[..., Any], **arguments: Any) -> Iterator[Any]:
    """All results of a search in MLflow, page by page."""
    token = None
    while True:
        page = ask(**arguments, **({"page_token": token} if token else {}))
        yield from page
        token = getattr(page, "token", None)
        if not token:
            return


def _experiments(client: Any) -> Iterator[Any]:
    from mlflow.entities import ViewType

    ask = getattr(client, "search_experiments", None) or client.list_experiments
    return pages(ask, view_type=ViewType.ALL, max_results=_PAGE)


def _runs(client: Any, experiment_id: str) -> Iterator[dict[str, Any]]:
    from mlflow.entities import ViewType

    seen: set[str] = set()  # a run that begins meanwhile may move another to the next page
    found = pages(
        client.search_runs,
        experiment_ids=[experiment_id],
        run_view_type=ViewType.ALL,
        max_results=_PAGE,
        order_by=["attributes.start_time ASC"],
    )
    for run in found:
        if run.info.run_id in seen:
            continue
        seen.add(run.info.run_id)
        tags = run.data.tags
        yield {
            "kind": "run",
            "id": run.info.run_id,
            "origin": origin_of(run.info.run_id, tags),
            "state": tags.get(STATE_TAG, ""),
            "experiment": experiment_id,
            "name": tags.get("mlflow.runName", ""),
            "user": tags.get("mlflow.user", ""),
            "status": run.info.status,
            "lifecycle": run.info.lifecycle_stage,
            "started": run.info.start_time,
            "parent": tags.get(PARENT_TAG, ""),
            "address": run.info.artifact_uri,
        }


def _logged_models(client: Any, experiment_id: str) -> Iterator[dict[str, Any]]:
    if not hasattr(client, "search_logged_models"):
        return
    found = pages(client.search_logged_models, experiment_ids=[experiment_id], max_results=50)
    for model in found:
        yield {
            "kind": "logged_model",
            "id": model.model_id,
            "origin": model.tags.get(MODEL_TAG) or model.model_id,
            "name": model.name,
            "run": model.source_run_id or "",
            "address": model.artifact_location,
        }


def _traces(client: Any, experiment_id: str) -> Iterator[dict[str, Any]]:
    """An entry for an experiment with traces; none before MLflow 2.14, or if the search fails."""
    from mlflow.exceptions import MlflowException

    ask = getattr(client, "search_traces", None)
    if ask is None:
        return
    accepted = inspect.signature(ask).parameters
    place = "locations" if "locations" in accepted else "experiment_ids"  # by the client's release
    wanted = {place: [experiment_id], "max_results": 1, "include_spans": False}
    try:
        has_some = bool(ask(**{name: value for name, value in wanted.items() if name in accepted}))
    except MlflowException:
        return
    if has_some:
        yield {
            "kind": "left_out",
            "what": "traces",
            "name": f"of experiment {experiment_id}",
            "reason": "traces are not moved",
        }


def _registered(client: Any) -> Iterator[dict[str, Any]]:
    ask = client.search_registered_models
    if hasattr(client, "list_registered_models"):  # MLflow 1
        ask = client.list_registered_models
    for found in list(pages(ask, max_results=100)):
        model = client.get_registered_model(found.name)
        yield {
            "kind": "model",
            "name": model.name,
            "description": model.description or "",
            "tags": dict(model.tags or {}),
            "aliases": {k: str(v) for k, v in (getattr(model, "aliases", None) or {}).items()},
        }
        for version in versions_of(client, model.name, _quiet):
            # A search may leave tags out; an alias stands with the model.
            yield describe_version(version)
    if hasattr(client, "search_logged_models"):
        condition = f"tags.`{_PROMPT}` = 'true'"
        for prompt in pages(ask, filter_string=condition, max_results=100):
            yield {
                "kind": "left_out",
                "what": "prompt",
                "name": prompt.name,
                "reason": "prompts are not moved",
            }


def _quiet(_line: str) -> None:
    """Print nothing: progress is reported by the process that reads the answers."""
