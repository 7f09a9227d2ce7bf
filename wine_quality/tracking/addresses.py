"""Which MLflow server runs of a version go to, as the environment says.

Where servers of several versions stand side by side each has a variable of its own, in whose name
the version's dots are underscores: ``WINE_QUALITY_MLFLOW_URI_2_1_1``.
"""

from __future__ import annotations

import os

from wine_quality.data.allowed import ANY, TRACKING_URIS


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
    """Where people see the server of ``configured_uri``, when that is another address; not where
    they see embedded stores, of which each version has its own."""
    if os.environ.get(uri_variable(key)):
        return os.environ.get(ui_variable(key)) or None
    return os.environ.get("WINE_QUALITY_MLFLOW_UI") or None


class ForbiddenServerError(RuntimeError):
    """The server is not one that runs may go to; the message says what allows it."""


def check_tracking_uri(uri: str, key: str) -> None:
    """Whether a run of a version may be told to go to ``uri``: clients send it the credentials of
    the environment, and other addresses than those of servers are files of this machine.

    Raises:
        ForbiddenServerError: it is neither what the environment configures nor allowed by it.
    """
    from wine_quality.tracking.run_tags import without_password

    known = (configured_uri(key) or "", os.environ.get("MLFLOW_TRACKING_URI", ""))
    listed = os.environ.get(TRACKING_URIS, "")
    allowed = [one.strip() for one in (*known, *listed.split(",")) if one.strip()]
    wanted = without_password(uri).rstrip("/")
    if ANY in allowed or wanted in (without_password(one).rstrip("/") for one in allowed):
        return
    raise ForbiddenServerError(
        f"resources.mlflow.config.tracking_uri is {without_password(uri)}, which is not the server "
        f"of MLflow {key} here. Whoever runs the platform allows it by ${TRACKING_URIS} (now: "
        f"{listed or 'none'}), in the environment of the code location."
    )
