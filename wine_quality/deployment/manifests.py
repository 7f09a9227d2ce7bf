"""A model version's Kubernetes manifests, for each target. Pure: nothing is read or written."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import Document
from wine_quality.deployment.targets.kserve import kserve
from wine_quality.deployment.targets.seldon_core_v1 import seldon_core_v1
from wine_quality.deployment.targets.seldon_core_v2 import seldon_core_v2, v2_model_name

_Make = Callable[[ManifestModel, ManifestSettings], list[Document]]

SELDON_CORE_V2 = "seldon-core-v2"
TARGETS: dict[str, _Make] = {
    SELDON_CORE_V2: seldon_core_v2,
    "seldon-core-v1": seldon_core_v1,
    "kserve": kserve,
}


@dataclass(frozen=True)
class ServedAs:
    """What the V2 protocol calls the model on a target.

    Attributes:
        version: None where the target gives models versions of its own.
    """

    name: str
    version: str | None


def manifests(target: str, model: ManifestModel, settings: ManifestSettings) -> list[Document]:
    """The documents of a target, in the order in which they are to be applied.

    Raises:
        ValueError: there is no such target, or it cannot serve the model; the message says why.
    """
    return _known(target)(model, settings)


def served_as(target: str, model: ManifestModel, settings: ManifestSettings) -> ServedAs:
    """The model's name and version in the paths of the V2 protocol.

    Raises:
        ValueError: there is no such target.
    """
    if _known(target) is seldon_core_v2:
        return ServedAs(v2_model_name(model, settings), None)
    return ServedAs(model.name, model.version)


def yaml_text(documents: Iterable[Document], note: str = "") -> str:
    """The documents as one YAML file, under a comment.

    Args:
        note: Lines of a comment at the top.
    """
    import yaml

    comment = "".join(f"# {line}".rstrip() + "\n" for line in note.splitlines())
    return comment + yaml.safe_dump_all(
        documents, sort_keys=False, allow_unicode=True, width=100, explicit_start=True
    )


def _known(target: str) -> _Make:
    if target not in TARGETS:
        raise ValueError(f"target is {target!r}; it must be {' or '.join(TARGETS)}")
    return TARGETS[target]
