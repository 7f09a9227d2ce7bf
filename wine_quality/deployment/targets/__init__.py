"""One module per deploy target, which is all that a target is: ``seldon_core_v1.py`` holds the
target seldon-core-v1 as ``TARGET``, and is found by its name.
"""

from __future__ import annotations

import importlib
import pkgutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from wine_quality.deployment.target import DeployTarget


def target_names() -> list[str]:
    """Sorted, such as ["kserve", "seldon-core-v1"]; no module of a target is imported for it."""
    return sorted(module.name.replace("_", "-") for module in pkgutil.iter_modules(__path__))


def load_target(name: str) -> DeployTarget:
    """The target of a name.

    Raises:
        ValueError: there is no target of that name.
    """
    known = target_names()
    if name not in known:
        raise ValueError(f"target is {name!r}; it must be {' or '.join(known)}")
    return importlib.import_module(f"{__name__}.{name.replace('-', '_')}").TARGET
