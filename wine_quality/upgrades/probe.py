"""``python -m wine_quality.upgrades.probe ACTION``: what only a version's own MLflow can do, in its
environment.

The question is JSON on stdin, the answers are lines of JSON on stdout, each behind ``PREFIX``: what
models print while they are loaded is not an answer. It ends with the process that started it.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.environments.process_groups import end_with_parent

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

PREFIX = "answer: "

# Result of loading a version.
LOADED = "loaded"
NOT_TRUSTED = "not trusted"
NOT_READ = "not read"
NOT_LOADABLE = "not loadable"


def upgrade_schema(question: dict[str, Any]) -> None:
    """Run `mlflow db upgrade` on ``question["uri"]``, which stays out of the list of processes."""
    from mlflow.cli import cli

    cli(["db", "upgrade", question["uri"]], standalone_mode=False)


def look(question: dict[str, Any]) -> None:
    """Champion and challenger of each of ``question["models"]``; with ``"adopt"`` alias and stage
    are made to agree first. Then the predictions of each of ``question["versions"]``, loaded, on
    its own input example."""
    tracker = open_tracker(question)
    for name in question["models"]:
        answer(_roles(tracker, name, question["adopt"]))
    for name, number in question["versions"]:
        with tempfile.TemporaryDirectory() as folder:
            answer({"model": name, "version": number, **_predicted(tracker, name, number, folder)})


def _roles(tracker: Tracker, name: str, adopt: bool) -> dict[str, Any]:
    from wine_quality.tracking.registry.roles import CHALLENGER, CHAMPION

    found: dict[str, Any] = {"model": name, "notes": []}
    for role in (CHAMPION, CHALLENGER):
        found[role] = _holder(tracker, found, role, adopt)
    return found


def _holder(tracker: Tracker, found: dict[str, Any], role: str, adopt: bool) -> str | None:
    """The version with the role; notes what was adopted, and why this MLflow finds none."""
    from mlflow.exceptions import MlflowException

    from wine_quality.tracking.registry.roles import RoleConflictError

    registry = tracker.registry(found["model"])
    try:
        if adopt:
            registry.adopt(role, found["notes"].append)
        return registry.holder(role)
    except RoleConflictError as conflict:
        found["notes"].append(str(conflict))
        return f"{conflict.alias} or {conflict.stage}"
    except MlflowException as error:  # such as a name that this version refuses
        found["error"] = str(error)
        return None


def _predicted(tracker: Tracker, name: str, number: str, folder: str) -> dict[str, Any]:
    from wine_quality.families.family import types_of_families
    from wine_quality.tracking.model_files import UntrustedModelError

    types = types_of_families()
    try:
        files = tracker.download_version(name, number, Path(folder), types)
        kind = tracker.require_loadable(f"{name} version {number}", files, types)
    except UntrustedModelError as error:
        return {"result": NOT_TRUSTED, "reason": str(error)}
    except Exception as error:
        return {"result": NOT_READ, "reason": f"{type(error).__name__}: {error}"}
    try:
        return {"result": LOADED, "format": kind, "predictions": _example_predictions(files, name)}
    except Exception as error:
        return {
            "result": NOT_LOADABLE,
            "format": kind,
            "reason": f"{type(error).__name__}: {error}",
        }


def _example_predictions(files: Path, name: str) -> list[float]:
    """Predictions on the model's input example; empty without an example."""
    import mlflow.pyfunc
    import pandas as pd

    from wine_quality.packaging.served_model import read_model

    model = mlflow.pyfunc.load_model(str(files))
    described = read_model(files, name, "", "")
    if not described.example:
        return []
    rows = pd.DataFrame([list(row) for row in described.example], columns=described.names)
    return [float(value) for value in model.predict(rows)]


def open_tracker(store: dict[str, Any]) -> Tracker:
    """Connect to the store with the keys ``version`` and ``uri``."""
    from wine_quality.environments.mlflow_versions import get_version
    from wine_quality.tracking.connection import connect, tracking_settings

    version = get_version(store["version"])
    settings = tracking_settings(version, store["uri"])
    return connect(version, settings, lambda text: print(text, file=sys.stderr))


def answer(found: dict[str, Any]) -> None:
    """Write one answer to the pipe of the process that asked."""
    print(f"{PREFIX}{json.dumps(found)}", flush=True)


ACTIONS = {"schema": upgrade_schema, "look": look}

if __name__ == "__main__":
    end_with_parent()
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    ACTIONS[sys.argv[1]](json.load(sys.stdin))
