"""Values that tracked assets hand on: plain data, readable in the environment of any version."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.training import Training

if TYPE_CHECKING:
    from wine_quality.tracking.tracker import Tracker

running_tracker: ContextVar[Tracker | None] = ContextVar("running_tracker", default=None)
"""The tracker of the asset that is running, if it tracks."""


@dataclass(frozen=True)
class TrackedModel:
    """A model that ``TrackedRun.log_model`` logged. The model itself lies in MLflow.

    Attributes:
        model_uri: As its MLflow knows it.
        sha256: Of its files, as they were before they left the process that trained it.
        seal: Shows that a training of this project logged it.
        training: The MLflow run, its server and version, and the Dagster run.
        record_sha256: Of the training record that was logged with it; empty: there is none.
    """

    model_uri: str
    sha256: str
    seal: str
    training: Training
    record_sha256: str = ""

    def load(self) -> Any:
        """The fitted estimator, from MLflow, after its files were compared with what was logged.

        Only inside an asset of ``trains`` or ``continues``, whose server is the model's.

        Raises:
            RuntimeError: no such asset is running.
            UntrustedModelError: its files are not those that a training of this project logged, or
                their format may not be loaded.
        """
        tracker = running_tracker.get()
        if tracker is None:
            raise RuntimeError(
                "a model is loaded in an asset with @mlflow.trains or @mlflow.continues: there "
                "MLflow's server is known"
            )
        with tempfile.TemporaryDirectory() as folder:
            return _load_checked(self, tracker, Path(folder))


def _load_checked(model: TrackedModel, tracker: Tracker, folder: Path) -> Any:
    import mlflow.sklearn
    from mlflow.artifacts import download_artifacts

    from wine_quality.tracking.model_files import UntrustedModelError, model_sha256

    title = f"the model of {model.training}"
    require_logged_here(model)
    files = Path(download_artifacts(artifact_uri=model.model_uri, dst_path=str(folder)))
    if model_sha256(files) != model.sha256:
        raise UntrustedModelError(
            f"{title} is not loaded: its files were changed since they were logged. Materialize "
            "the asset that trains it again."
        )
    tracker.require_loadable(title, files)
    return mlflow.sklearn.load_model(str(files))


def require_logged_here(model: TrackedModel) -> None:
    """Raises ``UntrustedModelError`` unless a training of this project logged it so."""
    from wine_quality.tracking.registry.provenance import NO_RECORD, Claims, require_seal

    training = model.training
    logged = Claims(
        *("", training.mlflow_run_id, training.mlflow_version, "", model.sha256),
        record=model.record_sha256 or NO_RECORD,
    )
    require_seal(model.seal, logged)


@dataclass(frozen=True)
class LoggedMetrics(Mapping[str, float]):
    """Metrics that ``TrackedRun.log_metrics`` logged: a mapping, and the training they are of."""

    values_by_name: dict[str, float]
    training: Training

    def __getitem__(self, name: str) -> float:
        return self.values_by_name[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.values_by_name)

    def __len__(self) -> int:
        return len(self.values_by_name)


@dataclass(frozen=True)
class RegisteredVersion:
    """A version of a registered model."""

    name: str
    version: str
    training: Training


@dataclass(frozen=True)
class ChampionDecision:
    """The champion after a version has challenged.

    Attributes:
        name: Of the registered model.
        version: That challenged.
        champion: The version that is champion now; None when nobody is.
        previous: The champion before; None for the first.
        compared: The metric of each version that was compared.
        reason: The decision in a sentence.
        training: Of the version that challenged.
    """

    name: str
    version: str
    champion: str | None
    previous: str | None
    compared: dict[str, float]
    reason: str
    training: Training
