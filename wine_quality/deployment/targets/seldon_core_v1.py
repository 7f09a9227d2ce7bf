"""Seldon Core v1: a SeldonDeployment whose one node is the model's image."""

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
from wine_quality.packaging.container import GRPC_PORT, HTTP_PORT, METRICS_PORT

API = "machinelearning.seldon.io/v1"
_NODE = "model"


def seldon_core_v1(model: ManifestModel, settings: ManifestSettings) -> list[Document]:
    """The SeldonDeployment."""
    predictor: Document = {
        "name": settings.seldon_v1_predictor,
        # Without Seldon's orchestrator in between, which knows no versions, and asks for models by
        # the name of the node: a container's, so in small letters.
        "annotations": {**provenance(model), "seldon.io/no-engine": "true"},
        "labels": labels(model, settings),
        "graph": {"name": _NODE, "type": "MODEL"},
        "componentSpecs": [_component(model, settings)],
    }
    if not settings.autoscales:
        predictor["replicas"] = settings.replicas
    return [
        {
            "apiVersion": API,
            "kind": "SeldonDeployment",
            "metadata": metadata(model, settings),
            "spec": {"protocol": "v2", "predictors": [predictor]},
        }
    ]


def _component(model: ManifestModel, settings: ManifestSettings) -> Document:
    node = container(_NODE, model, settings, own_ports())
    # The names by which the operator finds them.
    node["ports"] = [
        {"name": "http", "containerPort": HTTP_PORT, "protocol": "TCP"},
        {"name": "grpc", "containerPort": GRPC_PORT, "protocol": "TCP"},
        {"name": "metrics", "containerPort": METRICS_PORT, "protocol": "TCP"},
    ]
    node.update(probes("http"))
    component: Document = {
        "metadata": {"labels": labels(model, settings), "annotations": provenance(model)},
        "spec": {
            "containers": [node],
            "volumes": [scratch_volume()],
            "securityContext": pod_security(),
            "terminationGracePeriodSeconds": 30,
        },
    }
    if settings.autoscales:
        component["hpaSpec"] = _autoscaler(settings)
    return component


def _autoscaler(settings: ManifestSettings) -> dict[str, Any]:
    """``metricsv2`` is what Kubernetes 1.26 and later takes; ``metrics`` the API before it."""
    target = {"type": "Utilization", "averageUtilization": settings.target_cpu_percent}
    return {
        "minReplicas": settings.min_replicas,
        "maxReplicas": settings.max_replicas,
        "metricsv2": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
