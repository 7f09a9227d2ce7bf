"""Seldon Core v1: a SeldonDeployment whose one node is the model's image."""

from __future__ import annotations

from collections.abc import Mapping
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
from wine_quality.deployment.target import DeployTarget, Readiness, is_stale
from wine_quality.packaging.container import GRPC_PORT, HTTP_PORT, METRICS_PORT

API = "machinelearning.seldon.io/v1"
_NODE = "model"


class SeldonCoreV1(DeployTarget):
    """The SeldonDeployment."""

    controller = "Seldon Core v1"

    def documents(self, model: ManifestModel, settings: ManifestSettings) -> list[Document]:
        return [
            {
                "apiVersion": API,
                "kind": "SeldonDeployment",
                "metadata": metadata(model, settings),
                "spec": {"protocol": "v2", "predictors": [_predictor(model, settings)]},
            }
        ]

    def readiness(self, resource: Mapping[str, Any]) -> Readiness:
        """Readiness by the state: a SeldonDeployment lacks the condition Ready."""
        status = resource.get("status") or {}
        state, stale = status.get("state", ""), is_stale(resource)
        shown = f"state {state}" if state else "no state yet"
        if status.get("description"):
            shown += f": {status['description']}"
        for name, part in sorted((status.get("deploymentStatus") or {}).items()):
            available, wanted = part.get("availableReplicas", 0), part.get("replicas", 0)
            shown += f"; {name} has {available} of {wanted} replicas"
        return Readiness(state == "Available" and not stale, state == "Failed" and not stale, shown)


TARGET = SeldonCoreV1()


def _predictor(model: ManifestModel, settings: ManifestSettings) -> Document:
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
    return predictor


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
