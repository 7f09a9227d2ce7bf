"""A model repository folder that MLServer 1.7 loads as it is."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

from wine_quality.packaging.served_model import ServedModel, UnservableModelError
from wine_quality.policy.names import BadNameError, inside

RUNTIME = Path(__file__).parents[1] / "serving" / "runtime"
RUNTIME_NAME = "wine_quality_runtime"
SETTINGS = "model-settings.json"
SERVED = "served-model.json"
REQUEST = "example-request.json"
REQUIREMENTS = "requirements.txt"


def write_repository(model: ServedModel, files: Path, requirements: str, folder: Path) -> Path:
    """Everything that serves the model, in ``folder/<name>``.

    The folder is made beside its place and moved there when it is whole; one that is there
    already is replaced.

    Args:
        files: What MLflow keeps of the version.
        requirements: The locked requirements of its serving environment.

    Returns:
        The model's folder, with ``model-settings.json``.

    Raises:
        UnservableModelError: the estimator's file is missing, or the model's name cannot be a
            folder's.
    """
    try:
        # Both are removed below: no name, and no link, may have another folder meant.
        place = inside(folder, model.name)
        making = inside(folder, f".{model.name}.making")
    except BadNameError as error:
        raise UnservableModelError(str(error)) from error
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(parents=True)
    try:
        try:
            shutil.copyfile(files / model.file, making / model.file)
        except OSError as error:
            raise UnservableModelError(
                f"{model.name} version {model.version}: {model.file} is missing ({error})"
            ) from error
        shutil.copyfile(files / "MLmodel", making / "MLmodel")
        shutil.copytree(
            RUNTIME, making / RUNTIME_NAME, ignore=shutil.ignore_patterns("__pycache__")
        )
        (making / REQUIREMENTS).write_text(requirements)
        if model.example:
            request = model.request([list(row) for row in model.example])
            (making / REQUEST).write_text(json.dumps(request, indent=1))
        described = served(model, making / model.file)
        (making / SERVED).write_text(json.dumps(described, indent=1))
        (making / SETTINGS).write_text(json.dumps(model_settings(model), indent=1))
        shutil.rmtree(place, ignore_errors=True)
        making.rename(place)
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return place


def served(model: ServedModel, file: Path) -> dict[str, Any]:
    """The description of the model for the serving runtime, for JSON. In a file of its own: Seldon
    Core 2 writes the settings anew, with a name and a version of its own, and keeps little else."""
    return {
        "name": model.name,
        "version": model.version,
        "run_id": model.run_id,
        "mlflow_version": model.mlflow_version,
        "file": model.file,
        "serialization": model.serialization,
        "trusted_types": list(model.trusted_types),
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        "columns": [list(column) for column in model.columns],
        "python": model.python,
        "packages": dict(model.packages),
    }


def model_settings(model: ServedModel) -> dict[str, Any]:
    """The content of ``model-settings.json``."""
    return {
        "name": model.name,
        "implementation": f"{RUNTIME_NAME}.model.WineQualityModel",
        "platform": "sklearn",
        "versions": [f"{name}/{version}" for name, version in model.packages],
        "inputs": [
            {"name": name, "datatype": datatype, "shape": [-1]} for name, datatype in model.columns
        ],
        "outputs": [{"name": "predict", "datatype": "FP64", "shape": [-1]}],
        "parameters": {"version": model.version},
    }
