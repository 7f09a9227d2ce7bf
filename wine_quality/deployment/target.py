"""A deploy target: its manifests, how the model is called there, and when it is ready."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import Document


@dataclass(frozen=True)
class ServedAs:
    """Name and version of the model in the V2 protocol on a target.

    Attributes:
        version: None where the target gives models versions of its own.
    """

    name: str
    version: str | None


@dataclass(frozen=True)
class Readiness:
    """Whether a resource is ready, by what its controller wrote into its status.

    Attributes:
        ready: The controller has seen the applied document, and all of it is there.
        failed: The controller has given up.
        status: The status in words, for a person.
    """

    ready: bool
    failed: bool
    status: str


class DeployTarget(ABC):
    """A platform to deploy a version to. Each module of ``targets`` holds one, as ``TARGET``.

    Attributes:
        controller: What must be installed on the cluster, such as KServe.
        needs_store: Whether the cluster copies the model repository from a store.
    """

    controller: ClassVar[str]
    needs_store: ClassVar[bool] = False

    @abstractmethod
    def documents(self, model: ManifestModel, settings: ManifestSettings) -> list[Document]:
        """The manifests, in the order in which they are to be applied.

        Raises:
            ValueError: the target cannot serve the model; the message gives the reason.
        """

    def examples(self, model: ManifestModel, settings: ManifestSettings) -> dict[str, str]:
        """YAML texts by name to be filled in by hand, which are written and never applied."""
        return {}

    def served_as(self, model: ManifestModel, settings: ManifestSettings) -> ServedAs:
        """The model's name and version in the paths of the V2 protocol."""
        return ServedAs(model.name, model.version)

    def readiness(self, resource: Mapping[str, Any]) -> Readiness:
        """Readiness by the condition Ready, which most controllers write.

        Args:
            resource: As it stands on the cluster.
        """
        status = resource.get("status") or {}
        conditions = [one for one in status.get("conditions") or [] if isinstance(one, Mapping)]
        ready = any(
            one.get("type") == "Ready" and one.get("status") == "True" for one in conditions
        )
        shown = "; ".join(map(_in_words, conditions)) or "no conditions yet"
        stale = is_stale(resource)
        if stale:
            shown = f"the controller has not seen the new document yet; before it: {shown}"
        return Readiness(ready and not stale, False, shown)


def is_stale(resource: Mapping[str, Any]) -> bool:
    """Whether the status is older than the applied document, and so not about it.

    Only where the controller notes the generation that it has seen. SeldonDeployment notes none.
    """
    generation = (resource.get("metadata") or {}).get("generation", 0)
    seen = (resource.get("status") or {}).get("observedGeneration")
    return seen is not None and seen < generation


def _in_words(condition: Mapping[str, Any]) -> str:
    words = f"{condition.get('type')}={condition.get('status')}"
    why = [str(condition[key]) for key in ("reason", "message") if condition.get(key)]
    return f"{words} ({': '.join(why)})" if why else words
