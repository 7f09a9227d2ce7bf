"""A model version's Kubernetes manifests as text. Pure: nothing is read or written."""

from __future__ import annotations

from collections.abc import Iterable

from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import Document
from wine_quality.deployment.targets import load_target, target_names


def yaml_text(documents: Iterable[Document], note: str = "") -> str:
    """The documents as one YAML file, under a comment.

    Args:
        note: Lines of a comment at the top.
    """
    import yaml

    comment = "".join(f"# {line}".rstrip() + "\n" for line in note.splitlines())
    made = list(documents)
    # PyYAML writes a next-line character (U+0085) as it is, and reads it as a line break.
    as_it_is = "\\x85" not in repr(made)
    return comment + yaml.safe_dump_all(
        made, sort_keys=False, allow_unicode=as_it_is, width=100, explicit_start=True
    )


def yaml_files(model: ManifestModel, settings: ManifestSettings) -> dict[str, str]:
    """YAML of each target that the model repository's place allows, and examples, by name.

    Raises:
        ValueError: a target cannot serve the model; the message gives the reason.
    """
    made: dict[str, str] = {}
    for name in target_names():
        target = load_target(name)
        if target.needs_store and not model.storage_uri:
            continue
        made[name] = yaml_text(target.documents(model, settings))
        made.update(target.examples(model, settings))
    return made
