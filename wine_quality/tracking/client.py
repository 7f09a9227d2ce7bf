"""MLflow's client on one server, and where that server's pages are seen.

All goes through ``MlflowClient`` calls that MLflow has kept since 1.x.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from wine_quality.environments.mlflow_versions import get_version
from wine_quality.tracking.servers.addresses import REGISTRY_VARIABLE
from wine_quality.tracking.servers.databricks import is_unity_catalog, registry_in_use
from wine_quality.tracking.servers.pages import pages_of
from wine_quality.tracking.servers.patience import set_retries_of_client

if TYPE_CHECKING:
    from collections.abc import Callable

TAG_LIMIT = 5000
"""Characters of a tag value that every server accepts."""

MODEL_FOLDER = "model"
TRAINING_RECORD = "training/record.json"


@dataclass(frozen=True)
class TrackingSettings:
    """The tracking server, the registry, and the experiment.

    Attributes:
        version: Key in the version table.
        tracking_uri: URI of the server or of the embedded store.
        experiment_name: Experiment that the runs go to.
        artifact_location: Artifact root for a new experiment; None leaves it to the server.
        model_format: ``skops`` or ``pickle``; MLflow before 3 knows only pickles.
        ui_url: Address at which a person sees this MLflow, a path below Dagster's own
            (``/mlflow/3``), or empty.
        registry_uri: Where models are registered, if not where runs are tracked; else empty.
        registry_ui_url: As ``ui_url``, for that registry.
        requirements: Of the models, as pip reads them.
        trusted_types: Full names of the types that a skops model may hold besides those that skops
            trusts by itself.
    """

    version: str
    tracking_uri: str
    experiment_name: str
    artifact_location: str | None
    model_format: str
    ui_url: str
    registry_uri: str = ""
    registry_ui_url: str = ""
    requirements: tuple[str, ...] = field(default=())
    trusted_types: tuple[str, ...] = ()

    @property
    def workspace(self) -> str:
        """MLflow 3's workspace, which its client reads from the environment; empty before 3."""
        is_asked = get_version(self.version).major >= 3 and self.tracking_uri.startswith("http")
        return os.environ.get("MLFLOW_WORKSPACE", "") if is_asked else ""

    @property
    def registry_in_use(self) -> str:
        """The registry of this version's client."""
        return registry_in_use(self.version, self.tracking_uri, self.registry_uri)


class ServerClient:
    """MLflow's client, set up for the server of the settings."""

    def __init__(self, settings: TrackingSettings, warn: Callable[[str], None]) -> None:
        # MLflow 3 reports its use to its makers unless this is set.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # It prints links with the password of the tracking URI in them; Dagster shows clean ones.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        set_retries_of_client()
        import mlflow
        from mlflow.tracking import MlflowClient

        self.settings = settings
        self._warn = warn
        mlflow.set_tracking_uri(settings.tracking_uri)
        _set_registry_uri(settings.registry_uri)
        self.client = MlflowClient()
        workspace = settings.workspace
        self.pages = pages_of(settings.tracking_uri, settings.ui_url, workspace)
        models_at = settings.registry_ui_url if self.registers_elsewhere else settings.ui_url
        self._model_pages = pages_of(settings.registry_in_use, models_at, workspace)

    @property
    def client_version(self) -> str:
        import mlflow

        return mlflow.__version__

    @property
    def param_limit(self) -> int:
        """Characters of a parameter value that this version accepts: 250, 500 or 6000."""
        from mlflow.utils import validation

        return int(getattr(validation, "MAX_PARAM_VAL_LENGTH", 250))

    def model_version_url(self, name: str, version: str) -> str:
        """URL of the version's page; empty when no UI shows it."""
        return self._model_pages.model_version(name, version)

    @property
    def registers_elsewhere(self) -> bool:
        """Whether models are registered on another server than runs are tracked on."""
        return self.settings.registry_uri not in ("", self.settings.tracking_uri)

    @property
    def in_unity_catalog(self) -> bool:
        """Whether models are registered there. It copies their files, and has no stages."""
        return is_unity_catalog(self.settings.registry_in_use)

    def experiment_url(self, experiment_id: str) -> str:
        """URL of an experiment's page; empty when no UI shows it."""
        return self.pages.experiment(experiment_id)

    def _cut(self, kind: str, key: str, value: Any, limit: int) -> str:
        text = str(value)
        if len(text) <= limit:
            return text
        self._warn(f"{kind} {key!r} has {len(text)} characters; cut to MLflow's {limit}.")
        return text[: limit - 1] + "…"


def _set_registry_uri(uri: str) -> None:
    """Set it for all calls of this process; empty: where runs are tracked.

    MLflow 3 writes it into the environment too. A later run would take it from there for a setting
    of the platform.
    """
    import mlflow

    before = os.environ.get(REGISTRY_VARIABLE)
    mlflow.set_registry_uri(uri)
    if before is None:
        os.environ.pop(REGISTRY_VARIABLE, None)
    else:
        os.environ[REGISTRY_VARIABLE] = before
