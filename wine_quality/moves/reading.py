"""Writes a run of the source into a folder. In the environment of the source's version.

The folder has ``run.json`` (see ``export_run``), the run's files in ``artifacts/``, and those of
each of its logged models in ``models/ID/``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.moves.files import fetch
from wine_quality.tracking.registry.provenance import (
    SIGNATURE_TAG,
    require_own_run,
    require_signature,
)
from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION, RoleConflictError

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

RUN_FILE, FILES, MODELS = "run.json", "artifacts", "models"


def export_run(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The run ``question["run"]``, with the logged models ``question["models"]``, into
    ``question["folder"]``.

    Answers with the numbers of what it has. In ``run.json`` stand ``info``, ``params``, ``tags``,
    ``metrics`` (each point that was ever logged), ``datasets``, ``inputs`` and ``outputs`` (logged
    models), ``files`` (SHA-256 by path), ``models``, and ``problems``: what could not be read.
    """
    client, folder = tracker.client, Path(question["folder"])
    run = client.get_run(question["run"])
    problems: list[str] = []
    info = run.info
    record: dict[str, Any] = {
        "info": {
            "run_id": info.run_id,
            "status": info.status,
            "started": info.start_time,
            "ended": info.end_time,
            "lifecycle": info.lifecycle_stage,
        },
        "params": dict(run.data.params),
        "tags": dict(run.data.tags),
        "metrics": points(client, run),
        **lineage(run),
        "files": _files(info.artifact_uri, folder / FILES, problems),
        "models": [
            _logged_model(client, model_id, folder / MODELS / model_id, problems)
            for model_id in question["models"]
        ],
        "problems": problems,
    }
    (folder / RUN_FILE).write_text(json.dumps(record))
    models = [len(model["files"]) for model in record["models"]]
    yield {
        "params": len(record["params"]),
        "metrics": len(record["metrics"]),
        "tags": len(record["tags"]),
        "files": len(record["files"]) + sum(models),
        "problems": problems,
        "inputs": record["inputs"],
    }


def points(client: Any, run: Any) -> list[list[Any]]:
    """Each point of each metric of a run: key, value, time, step. The logged model of
    a point is not among these, see ``model_points``."""
    return [
        [point.key, point.value, point.timestamp, point.step]
        for key in sorted(run.data.metrics)
        for point in client.get_metric_history(run.info.run_id, key)
    ]


def model_points(model: Any) -> list[list[Any]]:
    """Metric points of a logged model: as ``points``, with data set name, digest and run added."""
    return [
        [
            *(point.key, point.value, point.timestamp, point.step),
            *(point.dataset_name or "", point.dataset_digest or "", point.run_id),
        ]
        for point in model.metrics or []
    ]


def lineage(run: Any) -> dict[str, list[Any]]:
    """Inputs and outputs of a run, since MLflow 2.4: ``datasets``, ids of logged models as
    ``inputs``, and id and step of logged models as ``outputs``."""
    inputs, outputs = getattr(run, "inputs", None), getattr(run, "outputs", None)
    datasets = getattr(inputs, "dataset_inputs", None) or []
    read = getattr(inputs, "model_inputs", None) or []
    made = getattr(outputs, "model_outputs", None) or []
    return {
        "datasets": sorted(
            (
                {
                    **{
                        name: getattr(one.dataset, name)
                        for name in ("name", "digest", "source_type", "source", "schema", "profile")
                    },
                    "tags": sorted([tag.key, tag.value] for tag in one.tags or []),
                }
                for one in datasets
            ),
            key=lambda one: (one["name"], one["digest"]),
        ),
        "inputs": sorted(one.model_id for one in read),
        "outputs": sorted([one.model_id, one.step] for one in made),
    }


def _logged_model(client: Any, model_id: str, folder: Path, problems: list[str]) -> dict[str, Any]:
    model = client.get_logged_model(model_id)
    return {
        "id": model_id,
        "name": model.name,
        "type": model.model_type,
        "status": str(model.status),
        "params": dict(model.params or {}),
        "tags": dict(model.tags or {}),
        "metrics": model_points(model),
        "address": model.artifact_location,
        "files": _files(model.artifact_location, folder, problems),
    }


def _files(address: str, folder: Path, problems: list[str]) -> dict[str, str]:
    """Fetch the files; errors become ``problems``, so that the rest of the run can be moved."""
    try:
        return fetch(address, folder)
    except OSError as error:
        if error.filename and str(folder) in str(error.filename):
            raise  # of the disk here, such as a full one
        problems.append(f"files at {address}: {type(error).__name__}: {error}")
    except Exception as error:
        problems.append(f"files at {address}: {type(error).__name__}: {error}")
    return {}


def read_version(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The signed contents of version ``question["number"]`` of ``question["model"]`` as ``claims``;
    None without a signature, and None with a ``reason`` where the signature does not hold."""
    from wine_quality.tracking.model_files import UntrustedModelError

    found = tracker.client.get_model_version(question["model"], question["number"])
    if SIGNATURE_TAG not in (found.tags or {}):
        yield {"claims": None, "reason": ""}
        return
    try:
        claims = require_signature(found)
        require_own_run(tracker.client, found)
    except UntrustedModelError as error:
        yield {"claims": None, "reason": str(error)}
        return
    yield {"claims": asdict(claims), "reason": ""}


def read_roles(tracker: Tracker, question: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Champion and challenger of ``question["model"]``; ``conflicts`` explains each role that
    has no clear holder."""
    registry = tracker.registry(question["model"])
    found: dict[str, Any] = {"conflicts": []}
    for role in (CHAMPION, CHALLENGER):
        try:
            found[role] = registry.holder(role)
        except RoleConflictError as error:
            found[role] = None
            found["conflicts"].append(str(error))
    yield found
