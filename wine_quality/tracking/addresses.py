"""Which MLflow server runs of a version go to, as the environment says.

Where servers of several versions stand side by side each has a variable of its own, in whose name
the version's dots are underscores: ``WINE_QUALITY_MLFLOW_URI_2_1_1``.
"""

from __future__ import annotations

import os


def _of_version(name: str, key: str) -> str:
    return f"{name}_{key.replace('.', '_')}"


def uri_variable(key: str) -> str:
    """The variable that names the server of one version."""
    return _of_version("WINE_QUALITY_MLFLOW_URI", key)


def ui_variable(key: str) -> str:
    """The variable that says where people see that server."""
    return _of_version("WINE_QUALITY_MLFLOW_UI", key)


def configured_uri(key: str) -> str | None:
    """The version's own server, else that of all versions, else None."""
    return os.environ.get(uri_variable(key)) or os.environ.get("MLFLOW_TRACKING_URI") or None


def configured_ui(key: str) -> str | None:
    """Where people see the server of ``configured_uri``, when that is another address."""
    if os.environ.get(uri_variable(key)):
        return os.environ.get(ui_variable(key)) or None
    return os.environ.get("WINE_QUALITY_MLFLOW_UI") or None
