"""Whether a resource on the cluster is ready, by what its controller wrote into its status."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Readiness:
    """What a resource's status says.

    Attributes:
        ready: Its controller has seen the applied document, and all of it is there.
        failed: Its controller has given up.
        said: The status in words, for a person.
    """

    ready: bool
    failed: bool
    said: str


def readiness(resource: Mapping[str, Any]) -> Readiness:
    """Of a Model, Server or InferenceService (condition Ready), or a SeldonDeployment (state).

    A status that was written before the applied document says nothing of it: where the controller
    notes the generation that it has seen, an older one is not ready. SeldonDeployment notes none.
    """
    status = resource.get("status") or {}
    generation = (resource.get("metadata") or {}).get("generation", 0)
    seen = status.get("observedGeneration")
    stale = seen is not None and seen < generation
    if resource.get("kind") == "SeldonDeployment":
        return _by_state(status, stale)
    conditions = [one for one in status.get("conditions") or [] if isinstance(one, Mapping)]
    ready = any(one.get("type") == "Ready" and one.get("status") == "True" for one in conditions)
    said = "; ".join(map(_in_words, conditions)) or "no conditions yet"
    if stale:
        said = f"the controller has not seen the new document yet; before it: {said}"
    return Readiness(ready and not stale, False, said)


def _by_state(status: Mapping[str, Any], stale: bool) -> Readiness:
    state = status.get("state", "")
    said = f"state {state}" if state else "no state yet"
    if status.get("description"):
        said += f": {status['description']}"
    parts = status.get("deploymentStatus") or {}
    for name, part in sorted(parts.items()):
        available, wanted = part.get("availableReplicas", 0), part.get("replicas", 0)
        said += f"; {name} has {available} of {wanted} replicas"
    return Readiness(state == "Available" and not stale, state == "Failed" and not stale, said)


def _in_words(condition: Mapping[str, Any]) -> str:
    words = f"{condition.get('type')}={condition.get('status')}"
    why = [str(condition[key]) for key in ("reason", "message") if condition.get(key)]
    return f"{words} ({': '.join(why)})" if why else words
