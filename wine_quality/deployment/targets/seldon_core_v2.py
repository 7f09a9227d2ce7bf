"""Seldon Core v2: a Server of the model's own environment, and the Model that is placed on it.

The agent beside the server copies the model repository from the store, writes the Model's name and
a version of its own into model-settings.json, and loads it over the model-repository API. So here,
unlike on the other targets, the V2 protocol knows the model by its Kubernetes name.
"""

from __future__ import annotations

import re
from typing import Any

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import Document, container, metadata, scratch_volume
from wine_quality.deployment.target import DeployTarget, ServedAs

API = "mlops.seldon.io/v1alpha1"
# Of Seldon's ServerConfig "mlserver": the container that our image takes the place of, where the
# agent puts models, and where it looks for the server.
_CONTAINER = "mlserver"
_MODELS = "/mnt/agent/models"
_HTTP_PORT, _GRPC_PORT = 9000, 9500


class SeldonCoreV2(DeployTarget):
    """The Server and the Model."""

    controller = "Seldon Core v2"
    needs_store = True

    def documents(self, model: ManifestModel, settings: ManifestSettings) -> list[Document]:
        _remote(model)
        return [_server(model, settings), _model(model, settings)]

    def examples(self, model: ManifestModel, settings: ManifestSettings) -> dict[str, str]:
        return {"secret.example": _storage_secret(model, settings)}

    def served_as(self, model: ManifestModel, settings: ManifestSettings) -> ServedAs:
        return ServedAs(settings.name_of(model), None)


TARGET = SeldonCoreV2()


def _remote(model: ManifestModel) -> str:
    """The rclone remote that the storage secret must define: the scheme of the storage URI.

    Raises:
        ValueError: the URI names no store.
    """
    match = re.fullmatch(r"([a-z][a-z0-9]*)://[^\s/]+/\S+", model.storage_uri)
    if match is None or match[1] == "file":
        raise ValueError(
            f"storage_uri is {model.storage_uri!r}: Seldon Core v2 copies the model from a store, "
            "so write model repositories to one that the cluster reaches, such as s3://bucket/…"
        )
    return match[1]


def _model(model: ManifestModel, settings: ManifestSettings) -> Document:
    return {
        "apiVersion": API,
        "kind": "Model",
        "metadata": metadata(model, settings),
        "spec": {
            "storageUri": model.storage_uri,
            "secretName": settings.storage_secret,
            "requirements": [model.capability],
            "memory": settings.seldon_v2_model_memory,
            **_scaling(settings),
        },
    }


def _server(model: ManifestModel, settings: ManifestSettings) -> Document:
    server = container(_CONTAINER, model, settings, _server_env())
    # Beside the ServerConfig's own: lists of a pod are merged by name. Ports and probes are there.
    server["args"] = [_MODELS]
    return {
        "apiVersion": API,
        "kind": "Server",
        "metadata": metadata(model, settings, "-server"),
        "spec": {
            "serverConfig": settings.seldon_v2_server_config,
            "capabilities": [model.capability],
            "podSpec": {"containers": [server], "volumes": [scratch_volume()]},
            **_scaling(settings),
        },
    }


def _server_env() -> dict[str, str]:
    """Seldon's ServerConfig sets the same; the image's own values are others."""
    return {
        "WINE_QUALITY_SERVE_REPOSITORY_API": "true",
        "MLSERVER_HTTP_PORT": str(_HTTP_PORT),
        "MLSERVER_GRPC_PORT": str(_GRPC_PORT),
        "MLSERVER_MODELS_DIR": _MODELS,
        "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
    }


def _scaling(settings: ManifestSettings) -> dict[str, Any]:
    """Seldon scales by how far inference lags, not by CPU; servers follow their models."""
    if not settings.autoscales:
        return {"replicas": settings.replicas}
    return {
        "replicas": settings.min_replicas,
        "minReplicas": settings.min_replicas,
        "maxReplicas": settings.max_replicas,
    }


def _storage_secret(model: ManifestModel, settings: ManifestSettings) -> str:
    """The Secret of ``settings.storage_secret`` as YAML to be filled in; it holds no secret."""
    name = _remote(model)
    endpoint = settings.storage_endpoint or "# http://minio.minio.svc:9000; AWS needs none"
    return f"""\
# How Seldon Core v2's rclone reaches {name}://. Fill in both keys, apply it, and keep the filled-in
# file out of the repository.
apiVersion: v1
kind: Secret
metadata:
  name: {settings.storage_secret}
  namespace: {settings.namespace}
type: Opaque
stringData:
  {name}: |
    type: {name}
    name: {name}
    parameters:
      provider: {settings.storage_provider}
      env_auth: false
      access_key_id: ""
      secret_access_key: ""
      endpoint: {endpoint}
      region: {settings.storage_region}
"""
