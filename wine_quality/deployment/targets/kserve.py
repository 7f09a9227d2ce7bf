"""KServe: an InferenceService whose predictor is the model's image."""

from __future__ import annotations

from typing import Any

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import (
    Document,
    container,
    labels,
    metadata,
    own_ports,
    pod_security,
    probes,
    provenance,
    scratch_volume,
)
from wine_quality.deployment.target import DeployTarget
from wine_quality.packaging.container import GRPC_PORT, HTTP_PORT, METRICS_PORT

API = "serving.kserve.io/v1beta1"
_CONTAINER = "kserve-container"
_MODE = "serving.kserve.io/deploymentMode"
_AUTOSCALER = "serving.kserve.io/autoscalerClass"


class KServe(DeployTarget):
    """The InferenceService."""

    controller = "KServe"

    def documents(self, model: ManifestModel, settings: ManifestSettings) -> list[Document]:
        about = metadata(model, settings)
        about["annotations"] = {**about["annotations"], _MODE: settings.kserve_mode}
        if not _on_knative(settings):
            about["annotations"][_AUTOSCALER] = "hpa"
        return [
            {
                "apiVersion": API,
                "kind": "InferenceService",
                "metadata": about,
                "spec": {"predictor": _predictor(model, settings)},
            }
        ]


TARGET = KServe()


def _on_knative(settings: ManifestSettings) -> bool:
    return settings.kserve_mode == "Knative"


def _predictor(model: ManifestModel, settings: ManifestSettings) -> Document:
    # For a container of one's own, KServe reads the protocol from this variable.
    server = container(_CONTAINER, model, settings, {"PROTOCOL": "v2", **own_ports()})
    http = {"name": "http1", "containerPort": HTTP_PORT, "protocol": "TCP"}
    predictor: Document = {
        "labels": labels(model, settings),
        "annotations": provenance(model),
        "timeout": settings.kserve_timeout_seconds,
        **_scaling(settings),
        "containers": [server],
        "volumes": [scratch_volume()],
    }
    if _on_knative(settings):
        # Knative takes one port, and nothing of the pod's own that is not switched on in it.
        server["ports"] = [http]
        server.update(_knative_probes())
        return predictor
    server["ports"] = [
        http,
        {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
    ]
    server.update(probes("http1"))
    return {
        **predictor,
        "deploymentStrategy": {
            "type": "RollingUpdate",
            "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
        },
        "automountServiceAccountToken": False,
        "securityContext": pod_security(),
        "terminationGracePeriodSeconds": 30,
    }


def _knative_probes() -> Document:
    """Probes with the port's number: Knative renames the port."""
    made = probes(HTTP_PORT)
    del made["startupProbe"]
    made["livenessProbe"]["initialDelaySeconds"] = 60
    return made


def _scaling(settings: ManifestSettings) -> dict[str, Any]:
    if not settings.autoscales:
        return {"minReplicas": settings.replicas, "maxReplicas": settings.replicas}
    metric: dict[str, Any] = {
        "scaleMetric": "cpu",
        "scaleTarget": settings.target_cpu_percent,
    }
    if _on_knative(settings):
        # Its own autoscaler counts requests; KServe refuses cpu there.
        metric = {
            "scaleMetric": "concurrency",
            "scaleTarget": settings.kserve_target_concurrency,
        }
    return {
        "minReplicas": settings.min_replicas,
        "maxReplicas": settings.max_replicas,
        **metric,
    }
