"""The fitted estimator from its file, unharmed and in the environment it was trained in."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Collection, Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any


class UnfitModelError(RuntimeError):
    """The model cannot be served here; the message gives the reason and the remedy."""


def load_estimator(
    file: Path,
    serialization: str,
    sha256: str,
    packages: Mapping[str, str],
    trusted_types: Collection[str] = (),
) -> Any:
    """The estimator, checked before it is unpacked.

    Args:
        file: ``model.skops`` or ``model.pkl``.
        serialization: ``skops``, ``cloudpickle`` or ``pickle``.
        sha256: What the file must hash to: what was fetched from the registry.
        packages: Name and version of what it was trained with.
        trusted_types: Full names of the types that a skops file may hold besides those of skops.

    Raises:
        UnfitModelError: the file is gone or damaged, holds what skops does not trust, or another
            version of a package is installed.
    """
    _require_packages(packages)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise UnfitModelError(f"{file.name} cannot be read: {error.strerror}") from error
    if hashlib.sha256(content).hexdigest() != sha256:
        raise UnfitModelError(
            f"{file.name} is damaged: its SHA-256 is not the one that was recorded when it was "
            "fetched from the registry. Deploy the version again."
        )
    try:
        estimator = _unpack(content, serialization, trusted_types)
    except UnfitModelError:
        raise
    except Exception as error:
        raise UnfitModelError(f"{file.name} cannot be loaded: {error}") from error
    # Rows come as a matrix whose order was checked; scikit-learn would warn at each of them. A
    # pipeline has no names of its own: its steps have.
    for part in (estimator, *(step for _, step in getattr(estimator, "steps", ()))):
        getattr(part, "__dict__", {}).pop("feature_names_in_", None)
    # LightGBM's names cannot be taken away.
    warnings.filterwarnings("ignore", "X does not have valid feature names")
    return estimator


def _unpack(content: bytes, serialization: str, trusted_types: Collection[str]) -> Any:
    if serialization == "skops":
        from skops.io import get_untrusted_types, loads

        untrusted = [
            name for name in get_untrusted_types(data=content) if name not in trusted_types
        ]
        if untrusted:
            raise UnfitModelError(f"the model holds types that skops does not trust: {untrusted}")
        return loads(content, trusted=list(trusted_types))
    import pickle

    return pickle.loads(content)


def _require_packages(packages: Mapping[str, str]) -> None:
    for name, wanted in packages.items():
        try:
            installed = version(name)
        except PackageNotFoundError:
            installed = "missing"
        if installed != wanted:
            raise UnfitModelError(
                f"the model was trained with {name} {wanted}, but here it is {installed}. Install "
                "the requirements.txt beside its model-settings.json."
            )
