"""A tracker on the MLflow that was asked for. Without Dagster, for commands that have none."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Iterable

from wine_quality.environments.mlflow_versions import MODEL_PACKAGES, MlflowVersion
from wine_quality.paths import embedded_store
from wine_quality.project import EXPERIMENT
from wine_quality.tracking.client import TrackingSettings
from wine_quality.tracking.servers.addresses import (
    configured_registry,
    configured_ui,
    configured_uri,
    ui_variable,
    without_password,
)
from wine_quality.tracking.servers.databricks import (
    is_databricks,
    is_unity_catalog,
    workspace_url,
)
from wine_quality.tracking.servers.embedded_store import ARTIFACTS, embedded_uri, prepare
from wine_quality.tracking.servers.server_check import (
    REGISTRY,
    TrackingServerError,
    check_server,
)
from wine_quality.tracking.tracker import Tracker


def tracking_settings(
    version: MlflowVersion,
    tracking_uri: str | None = None,
    registry_uri: str | None = None,
    *,
    experiment_name: str = EXPERIMENT,
    model_format: str = "skops",
    ui_url: str = "",
) -> TrackingSettings:
    """Settings of a version's tracking; the embedded store's folder is made.

    Args:
        tracking_uri: None or empty: the one that the environment sets, else the embedded store.
        registry_uri: Where models are registered. None or empty: the one that the environment
            sets, else where runs are tracked.
        ui_url: Where people see it; empty: by ``tracking_uri`` and the environment.
    """
    uri = tracking_uri or configured_uri(version.key)
    artifacts = None
    if not uri:
        store = embedded_store(version.key)
        store.mkdir(parents=True, exist_ok=True)
        uri = embedded_uri(version.key)
        artifacts = str(store / ARTIFACTS)
    registry = registry_uri or configured_registry() or ""
    if registry.rstrip("/") == uri.rstrip("/") and not is_databricks(uri):
        registry = ""  # on Databricks it means the workspace's own, not Unity Catalog
    return TrackingSettings(
        version=version.key,
        tracking_uri=uri,
        experiment_name=experiment_name,
        artifact_location=artifacts,
        model_format=model_format,
        ui_url=(ui_url or _shown_at(uri, version, bool(tracking_uri))).rstrip("/"),
        registry_uri=registry,
        registry_ui_url=_shown_at(registry, version, True).rstrip("/"),
        requirements=locked_requirements(version),
    )


def connect(
    version: MlflowVersion, settings: TrackingSettings, warn: Callable[[str], None]
) -> Tracker:
    """A tracker without an MLflow run, on a server that fits the version.

    Raises:
        RuntimeError: this process holds another MLflow.
        TrackingServerError: no server, or one that does not fit.
    """
    _require_client(version)
    _require_unity_catalog_client(version, settings)
    if embedded_uri(version.key) in (settings.tracking_uri, settings.registry_uri):
        prepare(version.key, warn)
    check_server(settings.tracking_uri, version)
    if settings.registry_uri:
        check_server(settings.registry_uri, version, REGISTRY)
    module, _, name = version.backend.partition(":")
    tracker: Tracker = getattr(importlib.import_module(module), name)(settings, warn)
    return tracker


def _shown_at(uri: str, version: MlflowVersion, was_given: bool) -> str:
    """Address for people of what goes to ``uri``: not always the one that Dagster uses.

    An embedded store is seen below Dagster's own address, wherever `make up` has it: the links that
    are kept lead there also later, on other ports. Empty for a store that no UI shows.
    """
    if uri.startswith("http"):
        # The one that stands beside another server is not that of this one.
        beside = None if was_given else configured_ui(version.key)
        return beside or without_password(uri)
    if is_databricks(uri):
        return workspace_url(uri)
    beside = os.environ.get(ui_variable(version.key))
    if beside:
        return beside
    return f"/mlflow/{version.key}" if uri == embedded_uri(version.key) else ""


def locked_requirements(version: MlflowVersion) -> tuple[str, ...]:
    """The packages that the model needs, as ``name==version`` of those installed here."""
    pins = pin_installed(("mlflow", *MODEL_PACKAGES))
    return tuple(pin for pin in pins if "==" in pin)


def pin_installed(requirements: Iterable[str]) -> tuple[str, ...]:
    """Requirements, of which a name alone becomes ``name==version`` of what is installed here.

    What is not installed, or says more than a name, stays as it is.
    """
    from importlib.metadata import PackageNotFoundError
    from importlib.metadata import version as installed

    pins = []
    for one in requirements:
        try:
            is_name = re.fullmatch(r"[A-Za-z0-9][\w.-]*", one)
            pins.append(f"{one}=={installed(one)}" if is_name else one)
        except PackageNotFoundError:
            pins.append(one)
    return tuple(pins)


def _require_unity_catalog_client(version: MlflowVersion, settings: TrackingSettings) -> None:
    if is_unity_catalog(settings.registry_uri) and version.major < 3:
        raise TrackingServerError(
            f"the registry is Unity Catalog ({settings.registry_uri}), which MLflow {version.key} "
            'does not know. Pick resources.mlflow.config.version "3", or another registry_uri.'
        )


def _require_client(version: MlflowVersion) -> None:
    from importlib.metadata import version as installed

    resident = re.sub(r"\s", "", installed("mlflow"))
    if not resident.startswith(version.client):
        raise RuntimeError(
            f"this run is to use MLflow {version.key}, but its process holds MLflow {resident}, "
            "and one Python holds one MLflow. Launch the job (UI, `dagster job launch` or `make "
            "run`), whose executor picks the environment: mlflow_environment_executor does, "
            "Dagster's multiprocess and Kubernetes step executors do not. Or call materialize() by "
            f"{version.python}."
        )
