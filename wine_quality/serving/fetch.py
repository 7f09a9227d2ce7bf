"""A registered version's files, made into a model repository with its serving environment."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.families.family import types_of_families
from wine_quality.packaging.repository import REQUIREMENTS, SERVED, write_repository
from wine_quality.packaging.requirements import locked
from wine_quality.packaging.served_model import ServedModel, UnservableModelError, read_model
from wine_quality.policy.names import (
    BadNameError,
    check_model_name,
    check_run_id,
    check_version_number,
)
from wine_quality.serving.backend import RESPONSE
from wine_quality.tracking.registry.provenance import UntrustedModelError
from wine_quality.tracking.registry.signing_key import SigningKeyError
from wine_quality.tracking.tracker import Tracker

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion


@dataclass(frozen=True)
class Fetched:
    """A version on disk: its model and the folder with ``model-settings.json``."""

    model: ServedModel
    folder: Path


@dataclass(frozen=True)
class Downloaded:
    """A version's files as MLflow keeps them, checked and not loaded.

    Attributes:
        found: The model version, as the client gives it.
        files: Where ``MLmodel`` lies.
    """

    found: ModelVersion
    files: Path
    model: ServedModel


def download(
    tracker: Tracker, name: str, version: str, folder: Path, trusted_types: Sequence[str] = ()
) -> Downloaded:
    """A version's files, into ``folder``: they are what was registered, and may be loaded.

    Args:
        trusted_types: Full names of types that a skops model may hold besides those of skops and
            of the package's families.

    Raises:
        UnservableModelError: there is no such version, its files are gone, damaged or not what this
            pipeline registered, or it is a model that cannot be served.
    """
    try:
        # They become folder names, and anyone with write access to the registry chooses them.
        check_model_name(name)
        check_version_number(version)
        found = tracker.registry(name).version(version)
        if found is None:
            raise UnservableModelError(f"{name} has no version {version}")
        if found.run_id:
            check_run_id(found.run_id)
    except BadNameError as error:
        raise UnservableModelError(str(error)) from error
    try:
        types = (*types_of_families(), *trusted_types)
        files = tracker.download_version(name, version, folder, types)
    except FileNotFoundError as error:
        raise UnservableModelError(f"{name} version {version}: {error}") from error
    except (UntrustedModelError, SigningKeyError) as error:
        raise UnservableModelError(str(error)) from error
    return Downloaded(found, files, read_model(files, name, version, found.run_id or ""))


def fetch(
    tracker: Tracker, name: str, version: str, folder: Path, trusted_types: Sequence[str] = ()
) -> Fetched:
    """Write the model repository of a version into ``folder``.

    Args:
        trusted_types: See ``download``.

    Raises:
        UnservableModelError: see ``download``.
    """
    with tempfile.TemporaryDirectory() as temporary:
        got = download(tracker, name, version, Path(temporary), trusted_types)
        folder.mkdir(parents=True, exist_ok=True)
        repository = write_repository(got.model, got.files, locked(got.model), folder)
    expected = _expected(tracker, got.found, got.model)
    if expected:
        (repository / RESPONSE).write_text(json.dumps(expected))
    return Fetched(got.model, repository)


def _expected(tracker: Tracker, found: Any, model: ServedModel) -> list[float]:
    """Predictions for the input example by the coefficients of the training record, or []."""
    try:
        record = tracker.load_training_record(found)
    except UntrustedModelError as error:
        raise UnservableModelError(str(error)) from error
    if record is None or "model" not in record or not model.example:
        return []
    import pandas as pd

    from wine_quality.models.elastic_net.fit import LinearModel

    rows = pd.DataFrame(list(model.example), columns=model.names)
    return [float(one) for one in LinearModel.from_json(json.dumps(record["model"])).predict(rows)]


def environment_of(folder: Path, say: Callable[[str], None]) -> Path:
    """The interpreter that serves the model repository in ``folder``; built when not there."""
    from wine_quality.serving.environment import serving_python

    python = json.loads((folder / SERVED).read_text())["python"]
    return serving_python((folder / REQUIREMENTS).read_text(), python, say)


def forget_all_but(folder: Path, versions: set[str]) -> None:
    """Remove the folders of versions that are served no longer."""
    for old in folder.iterdir() if folder.exists() else ():
        if old.is_dir() and old.name.isdigit() and old.name not in versions:
            shutil.rmtree(old, ignore_errors=True)
