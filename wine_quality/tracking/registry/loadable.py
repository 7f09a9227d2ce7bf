"""Which formats of a model's file may be loaded: by the configuration, not by the file."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

from wine_quality.environments.mlflow_versions import get_version
from wine_quality.settings.runs import LOADABLE_FORMATS as VARIABLE
from wine_quality.tracking.registry.provenance import UntrustedModelError

SKOPS, PICKLE = "skops", "pickle"
FORMATS = (SKOPS, PICKLE)
_FORMAT_OF = {"skops": SKOPS, "cloudpickle": PICKLE, "pickle": PICKLE}
_LOADER = "mlflow.sklearn"


def loadable_formats(mlflow_version: str, model_format: str) -> frozenset[str]:
    """``skops`` and ``pickle``, or one of them.

    ``$WINE_QUALITY_LOADABLE_FORMATS`` (names with commas), else what the version writes: MLflow
    before 3 knows only pickles, MLflow 3 writes ``model_format``.

    Raises:
        UntrustedModelError: the variable names a format that there is not.
    """
    given = VARIABLE.read().strip()
    if given:
        named = frozenset(name.strip() for name in given.split(",") if name.strip())
        if not named <= frozenset(FORMATS):
            raise UntrustedModelError(
                f"${VARIABLE} is {given!r}; it must be of {', '.join(FORMATS)}, with commas"
            )
        return named
    if get_version(mlflow_version).major < 3:
        return frozenset({PICKLE})
    return frozenset({SKOPS, model_format})


def require_loadable(
    title: str, files: Path, formats: frozenset[str], trusted_types: Collection[str] = ()
) -> str:
    """Check that a model's files are a scikit-learn model in one of these formats; return its one.

    Args:
        title: The version, for messages.
        files: A copy of its files.
        trusted_types: Full names of the types that it may hold besides those of skops.

    Raises:
        UntrustedModelError: they are not.
    """
    flavors = _flavors(title, files)
    sklearn = flavors.get("sklearn")
    python = flavors.get("python_function")
    if not isinstance(sklearn, dict) or not isinstance(python, dict):
        raise UntrustedModelError(
            f"{title} is not loaded: it is not a scikit-learn model "
            f"(flavors: {', '.join(flavors)})."
        )
    names_code = any(part.get("code") for part in (python, sklearn))
    if (
        names_code
        or "data" in python  # another file than the estimator's, with an MLmodel of its own
        or python.get("loader_module") != _LOADER
        or Path(str(sklearn.get("pickled_model"))).name != sklearn.get("pickled_model")
    ):
        raise UntrustedModelError(f"{title} is not loaded: its MLmodel file names code of its own.")
    untrusted = sorted(set(map(str, sklearn.get("skops_trusted_types") or ())) - set(trusted_types))
    if untrusted:
        raise UntrustedModelError(
            f"{title} is not loaded: it holds {', '.join(untrusted)}, which is not trusted here."
        )
    written = str(sklearn.get("serialization_format"))
    found = _FORMAT_OF.get(written)
    if found not in formats:
        kind = "a pickle" if found == PICKLE else repr(written)
        raise UntrustedModelError(
            f"{title} is not loaded: its estimator is {kind}, and here only "
            f"{' and '.join(sorted(formats))} may be loaded, for a pickle may run code. To "
            f"allow it, set {VARIABLE}=skops,pickle in the environment, or "
            'resources.mlflow.config.model_format: "pickle".'
        )
    return found or SKOPS


def _flavors(title: str, files: Path) -> dict[str, Any]:
    import yaml

    try:
        return dict(yaml.safe_load((files / "MLmodel").read_text())["flavors"])
    except (OSError, ValueError, LookupError, TypeError, yaml.YAMLError) as error:
        raise UntrustedModelError(
            f"{title} is not loaded: its MLmodel file cannot be read ({error!r})."
        ) from error
