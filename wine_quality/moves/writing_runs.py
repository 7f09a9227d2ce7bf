"""Writes experiments and runs to the target. In the environment of the target's version."""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.moves.files import FilesDifferError, send
from wine_quality.moves.marks import (
    COMPLETE,
    MODEL_TAG,
    OPEN,
    ORIGIN_TAG,
    PARTIAL,
    SERVER_TAG,
    STATE_TAG,
    without_ours,
)
from wine_quality.moves.reading import FILES, MODELS, RUN_FILE, lineage, model_points, points
from wine_quality.moves.rewriting import Copies
from wine_quality.tracking.backends.explicit_run_tracker import MODEL_VERSIONS_TAG
from wine_quality.tracking.runs.child_runs import NAME_TAG

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

COPIES = Copies()
"""Of this process, which writes to one target."""
UNDER_WAY = ("RUNNING", "SCHEDULED")
_NEVER = 1
"""Of runs that were made without a start: MLflow's client takes 0 for now."""
_METRICS_PER_BATCH = 900
_TEXTS_PER_BATCH = 90
"""MLflow takes 1,000 metrics, 100 parameters and 100 tags in one request."""


def know(_tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Note the copies made before: ``question["copies"]``, arguments of ``Copies.note``."""
    for copied in question["copies"]:
        COPIES.note(*copied)
    yield from ()


def open_experiment(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The experiment ``question["name"]``: the one that is there, or a new one with ``"tags"``. One
    that a move made, or that is deleted at the source too, is restored until its runs are there."""
    client, name = tracker.client, question["name"]
    found = client.get_experiment_by_name(name)
    tags = {**COPIES.tags(question["tags"]), SERVER_TAG: question["server"]}
    if found is None:
        made = client.create_experiment(name, question["artifacts"] or None, tags)
        yield {"id": made, "is_ours": True}
        return
    is_ours = SERVER_TAG in (found.tags or {})
    if found.lifecycle_stage == "deleted":
        if not (is_ours or question["lifecycle"] == "deleted"):
            raise RuntimeError(
                f"the target has a deleted experiment {name!r}; restore it, or remove it for good"
            )
        client.restore_experiment(found.experiment_id)
    for key, text in tags.items():
        if key != SERVER_TAG and key not in (found.tags or {}):
            client.set_experiment_tag(found.experiment_id, key, text)
    yield {"id": found.experiment_id, "is_ours": is_ours}


def open_run(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """An empty run in ``question["experiment"]`` for the source's ``question["of"]``, an entry of
    ``survey``; its id and its artifacts' address."""
    of = question["of"]
    tags = {ORIGIN_TAG: of["origin"], SERVER_TAG: question["server"], STATE_TAG: OPEN}
    known = {"mlflow.user": of["user"], NAME_TAG: of["name"]}
    tags |= {key: text for key, text in known.items() if text}
    create = tracker.client.create_run
    takes_name = "run_name" in inspect.signature(create).parameters
    named = {"run_name": of["name"]} if of["name"] and takes_name else {}
    run = create(question["experiment"], start_time=of["started"] or _NEVER, tags=tags, **named)
    COPIES.note(of["id"], run.info.run_id, of["address"], run.info.artifact_uri)
    yield {"id": run.info.run_id, "address": run.info.artifact_uri}


def import_run(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Fill the run ``question["run"]`` from ``question["folder"]``, and read it again: it is
    complete when it is the same. What is there already is not doubled.

    Args of ``question``: ``models`` has the ids of logged models that are there by the source's.
    """
    client, folder, run_id = tracker.client, Path(question["folder"]), question["run"]
    record = json.loads((folder / RUN_FILE).read_text())
    problems = list(record["problems"])
    info = client.get_run(run_id).info
    if info.lifecycle_stage == "deleted":  # nothing can be written to it; it is deleted again
        client.restore_run(run_id)
    for model in record["models"]:
        there = question["models"].get(model["id"], "")
        _import_model(client, info, model, folder / MODELS / model["id"], there, problems)
    wanted = _as_copied(record)
    _log_lineage(client, run_id, wanted)
    _log(client, run_id, wanted)
    for model in record["models"]:
        _log_model_metrics(client, model, problems)
    if not record["problems"]:
        _send(folder / FILES, info.artifact_uri, record["files"], problems)
    status = record["info"]["status"]
    goes_on = status in UNDER_WAY and record["info"]["lifecycle"] != "deleted"
    if status not in UNDER_WAY:
        client.set_terminated(run_id, status, record["info"]["ended"])
    problems += _differences(client, run_id, wanted)
    state = PARTIAL if problems else OPEN if goes_on else COMPLETE
    links_lack = bool(record["inputs"]) and state == COMPLETE  # see link_models
    client.set_tag(run_id, STATE_TAG, OPEN if links_lack else state)
    yield {"state": state, "problems": problems}


def link_models(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Note the logged models ``question["inputs"]`` that a run read, when all of them are there;
    then it is in ``question["state"]``."""
    from mlflow.entities import LoggedModelInput

    client, run_id = tracker.client, question["run"]
    lacking = [model for model in question["inputs"] if model not in COPIES.ids]
    there = set(lineage(client.get_run(run_id))["inputs"])
    wanted = {COPIES.ids[model] for model in question["inputs"] if model not in lacking}
    models = [LoggedModelInput(model_id=model) for model in sorted(wanted - there)]
    if models:
        client.log_inputs(run_id, models=models)
    problems = [f"logged model {model}, which it read, was not moved" for model in lacking]
    if set(lineage(client.get_run(run_id))["inputs"]) != wanted:
        problems.append("the logged models that it read differ")
    client.set_tag(run_id, STATE_TAG, PARTIAL if problems else question["state"])
    yield {"problems": problems}


def delete(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Delete a run or an experiment that is deleted at the source."""
    if "run" in question:
        tracker.client.delete_run(question["run"])
    else:
        tracker.client.delete_experiment(question["experiment"])
    yield from ()


def _as_copied(record: dict[str, Any]) -> dict[str, Any]:
    """The record with the ids of the copies, and without outputs whose model was not moved."""
    ids = COPIES.ids
    return {
        **record,
        "tags": COPIES.tags(record["tags"]),
        "outputs": [[ids[model], step] for model, step in record["outputs"] if model in ids],
    }


def _log(client: Any, run_id: str, wanted: dict[str, Any]) -> None:
    from mlflow.entities import Metric, Param, RunTag

    for some in _parts(list(wanted["params"].items()), _TEXTS_PER_BATCH):
        client.log_batch(run_id, params=[Param(*one) for one in some])
    for some in _parts(list(wanted["tags"].items()), _TEXTS_PER_BATCH):
        client.log_batch(run_id, tags=[RunTag(*one) for one in some])
    for some in _parts(wanted["metrics"], _METRICS_PER_BATCH):
        client.log_batch(run_id, metrics=[Metric(*point) for point in some])


def _log_model_metrics(client: Any, model: dict[str, Any], problems: list[str]) -> None:
    """The points of a logged model, each by the run that logged it."""
    from mlflow.entities import Metric

    made, ids = COPIES.ids[model["id"]], COPIES.ids
    wanted = [[*point[:6], ids[point[6]]] for point in model["metrics"] if point[6] in ids]
    for run_id in sorted({point[6] for point in wanted}):
        metrics = [
            Metric(key, value, time, step, made, name or None, digest or None, run_id=run_id)
            for key, value, time, step, name, digest, run in wanted
            if run == run_id
        ]
        for some in _parts(metrics, _METRICS_PER_BATCH):
            client.log_batch(run_id, metrics=some)
    found = model_points(client.get_logged_model(made))
    if len(wanted) < len(model["metrics"]) or _each_once(found) != _each_once(wanted):
        problems.append(f"metrics of the logged model {model['id']} differ")


def _log_lineage(client: Any, run_id: str, wanted: dict[str, Any]) -> None:
    there = lineage(client.get_run(run_id))
    if wanted["datasets"]:
        from mlflow.entities import Dataset, DatasetInput, InputTag

        datasets = [
            DatasetInput(
                Dataset(**{key: value for key, value in one.items() if key != "tags"}),
                [InputTag(*tag) for tag in one["tags"]],
            )
            for one in wanted["datasets"]
            if one not in there["datasets"]
        ]
        if datasets:
            client.log_inputs(run_id, datasets)
    lacking = [one for one in wanted["outputs"] if one not in there["outputs"]]
    if lacking:
        from mlflow.entities import LoggedModelOutput

        client.log_outputs(run_id, [LoggedModelOutput(*one) for one in lacking])


def _import_model(
    client: Any,
    info: Any,
    model: dict[str, Any],
    folder: Path,
    there: str,
    problems: list[str],
) -> None:
    tags = COPIES.tags({k: v for k, v in model["tags"].items() if k != MODEL_VERSIONS_TAG})
    origin = model["tags"].get(MODEL_TAG) or model["id"]
    if there:
        made = client.get_logged_model(there)
    else:
        made = client.create_logged_model(
            info.experiment_id,
            name=model["name"],
            source_run_id=info.run_id,
            tags={**tags, MODEL_TAG: origin},
            params=model["params"],
            model_type=model["type"],
        )
    COPIES.note(model["id"], made.model_id, model["address"], made.artifact_location)
    _send(folder, made.artifact_location, model["files"], problems)
    if model["status"] in ("READY", "FAILED"):
        client.finalize_logged_model(made.model_id, model["status"])
    found = client.get_logged_model(made.model_id)
    problems += _differing("logged model's", "param", model["params"], dict(found.params or {}))
    kept = {k: v for k, v in without_ours(found.tags).items() if k != MODEL_VERSIONS_TAG}
    problems += _differing("logged model's", "tag", tags, kept)


def _send(folder: Path, address: str, files: dict[str, str], problems: list[str]) -> None:
    try:
        send(folder, address, files)
    except FilesDifferError as error:
        problems.append(str(error))


def _differences(client: Any, run_id: str, wanted: dict[str, Any]) -> list[str]:
    """The differences between the run, read again, and what it should have, one line each."""
    run = client.get_run(run_id)
    problems = _differing("", "param", wanted["params"], dict(run.data.params))
    tags = without_ours(run.data.tags)
    if NAME_TAG not in wanted["tags"]:  # MLflow 2 and 3 give each run a name
        tags.pop(NAME_TAG, None)
    problems += _differing("", "tag", wanted["tags"], tags)
    before, after = _each_once(wanted["metrics"]), _each_once(points(client, run))
    if before != after:
        keys = sorted({point.split(",")[0] for point in before ^ after})
        problems.append(f"points of metrics differ: {', '.join(keys)}")
    found = lineage(run)
    problems += [
        f"{name} differ" for name in ("datasets", "outputs") if wanted[name] != found[name]
    ]
    wanted["info"]["started"] = wanted["info"]["started"] or _NEVER
    times = {"status": run.info.status, "started": run.info.start_time, "ended": run.info.end_time}
    return problems + _differing("", "field", {k: wanted["info"][k] for k in times}, times)


def _each_once(metrics: list[list[Any]]) -> set[str]:
    """The points as a set of texts: NaN equals itself, and a point sent twice counts once."""
    return {repr([point[0], float(point[1]), *point[2:]]) for point in metrics}


def _differing(of: str, kind: str, wanted: dict[str, Any], found: dict[str, Any]) -> list[str]:
    keys = sorted(key for key in {*wanted, *found} if wanted.get(key) != found.get(key))
    return [f"{of} {kind} {key} differs".strip() for key in keys]


def _parts(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
