"""Parts common to the pods of all targets: labels, the container, its security context."""

from __future__ import annotations

from typing import Any

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.packaging.container import GRPC_PORT, HTTP_PORT, METRICS_PORT, USER

MANAGED_BY = "wine-quality"
_SCRATCH = "scratch"

Document = dict[str, Any]


def metadata(model: ManifestModel, settings: ManifestSettings, suffix: str = "") -> Document:
    """Name, namespace, labels and annotations of a resource."""
    return {
        "name": settings.name_of(model) + suffix,
        "namespace": settings.namespace,
        "labels": labels(model, settings),
        "annotations": provenance(model),
    }


def labels(model: ManifestModel, settings: ManifestSettings) -> dict[str, str]:
    """Kubernetes' recommended labels, and those of the settings."""
    return {
        **settings.labels,
        "app.kubernetes.io/name": settings.name_of(model),
        "app.kubernetes.io/version": model.version,
        "app.kubernetes.io/component": "model",
        "app.kubernetes.io/part-of": "wine-quality",
        "app.kubernetes.io/managed-by": MANAGED_BY,
    }


def provenance(model: ManifestModel) -> dict[str, str]:
    """Annotations that name the model's origin: labels take no name with a space in it."""
    return {
        "wine-quality/registered-model": model.name,
        "wine-quality/model-version": model.version,
        "wine-quality/run-id": model.run_id,
        "wine-quality/mlflow-version": model.mlflow_version,
        "wine-quality/scikit-learn-version": model.scikit_learn_version,
        "wine-quality/requirements-hash": model.requirements_hash,
    }


def container(
    name: str, model: ManifestModel, settings: ManifestSettings, env: dict[str, str]
) -> Document:
    """A container of the model's image that may write to /tmp alone.

    Args:
        name: As the target's controller looks for it.
        env: Variables of the server.
    """
    made: Document = {
        "name": name,
        "image": settings.image_of(model),
        "imagePullPolicy": settings.image_pull_policy,
        "env": [{"name": key, "value": value} for key, value in {**_writable(), **env}.items()],
        "resources": resources(settings),
        "securityContext": {
            "runAsNonRoot": True,
            "runAsUser": USER,
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
            "seccompProfile": {"type": "RuntimeDefault"},
        },
        "volumeMounts": [{"name": _SCRATCH, "mountPath": "/tmp"}],
    }
    if settings.environment_secret:
        made["envFrom"] = [{"secretRef": {"name": settings.environment_secret}}]
    return made


def _writable() -> dict[str, str]:
    """MLServer writes these beside its working directory otherwise, which is read-only."""
    return {
        "HOME": "/tmp",
        "MLSERVER_METRICS_DIR": "/tmp/metrics",
        "MLSERVER_ENVIRONMENTS_DIR": "/tmp/environments",
    }


def scratch_volume() -> Document:
    """The pod's /tmp."""
    return {"name": _SCRATCH, "emptyDir": {"sizeLimit": "256Mi"}}


def own_ports() -> dict[str, str]:
    """Variables with MLServer's address and ports, for targets whose controller sets none."""
    return {
        "MLSERVER_HOST": "0.0.0.0",
        "MLSERVER_HTTP_PORT": str(HTTP_PORT),
        "MLSERVER_GRPC_PORT": str(GRPC_PORT),
        "MLSERVER_METRICS_PORT": str(METRICS_PORT),
    }


def resources(settings: ManifestSettings) -> Document:
    """Requests and limits; no limit where the setting is empty."""
    limits = {"cpu": settings.cpu_limit, "memory": settings.memory_limit}
    limits = {name: amount for name, amount in limits.items() if amount}
    requests = {"cpu": settings.cpu_request, "memory": settings.memory_request}
    return {"requests": requests, **({"limits": limits} if limits else {})}


def probes(port: str | int) -> Document:
    """Live while the process answers, ready while the model is loaded; 60 s to start."""

    def probe(path: str, **more: int) -> Document:
        return {"httpGet": {"path": path, "port": port}, "timeoutSeconds": 3, **more}

    return {
        "startupProbe": probe("/v2/health/ready", periodSeconds=2, failureThreshold=30),
        "readinessProbe": probe("/v2/health/ready", periodSeconds=5, failureThreshold=3),
        "livenessProbe": probe("/v2/health/live", periodSeconds=10, failureThreshold=6),
    }


def pod_security() -> Document:
    """The pod's security context."""
    return {
        "runAsNonRoot": True,
        "runAsUser": USER,
        "runAsGroup": USER,
        "fsGroup": USER,
        "seccompProfile": {"type": "RuntimeDefault"},
    }
