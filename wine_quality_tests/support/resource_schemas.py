"""Holds manifests against the schemas in data/crds, and what is Kubernetes' own against its."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate
import yaml

FOLDER = Path(__file__).parents[1] / "data" / "crds"
SCHEMAS = {
    "Model": "seldon-core-v2-model.yaml",
    "Server": "seldon-core-v2-server.yaml",
    "SeldonDeployment": "seldon-core-v1-seldondeployment.yaml",
    "InferenceService": "kserve-inferenceservice.yaml",
}
RELEASES = ("1.30", "1.36")
WRONG = (jsonschema.ValidationError, kubernetes_validate.ValidationError)
# It parses two megabytes of definitions anew for each document.
kubernetes_validate.utils.schema_contents = cache(kubernetes_validate.utils.schema_contents)


@cache
def schema(kind: str) -> dict[str, Any]:
    return yaml.safe_load((FOLDER / SCHEMAS[kind]).read_text())


def check(document: dict[str, Any], releases: tuple[str, ...] = RELEASES) -> None:
    """Raises one of ``WRONG`` for a document that does not fit.

    Args:
        releases: Of Kubernetes, for what is its own.
    """
    plain = yaml.safe_load(yaml.safe_dump(document))
    shape = schema(plain["kind"])
    jsonschema.Draft7Validator(shape).validate(plain)
    for wrapped in _of_kubernetes(shape, plain):
        for release in releases:
            kubernetes_validate.validate(wrapped, release, strict=True)


def _of_kubernetes(shape: dict[str, Any], value: Any) -> Iterator[dict[str, Any]]:
    if "x-wrap" in shape:
        yield _WRAP[shape["x-wrap"]](value)
    if "x-pod" in shape:
        yield _pod({name: value[name] for name in shape["x-pod"] if name in value})
    for name, below in shape.get("properties", {}).items():
        if name in value:
            yield from _of_kubernetes(below, value[name])
    if "items" in shape:
        for item in value:
            yield from _of_kubernetes(shape["items"], item)


def _pod(spec: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "one"}, "spec": spec}


def _config_map(metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}


def _strategy(strategy: Any) -> dict[str, Any]:
    labels = {"app": "one"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "one"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, "strategy": strategy}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {}, "spec": spec}


def _autoscaler(metrics: Any) -> dict[str, Any]:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "one"}
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "one"},
        "spec": {"scaleTargetRef": target, "maxReplicas": 1, "metrics": metrics},
    }


_WRAP = {
    "ObjectMeta": _config_map,
    "PodSpec": _pod,
    "DeploymentStrategy": _strategy,
    "MetricSpecs": _autoscaler,
}
