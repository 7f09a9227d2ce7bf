"""The MLflow server that the environment sets for the runs of a version.

Where servers of several versions stand side by side each has a variable of its own, in whose name
the version's dots are underscores: ``WINE_QUALITY_MLFLOW_URI_2_1_1``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

from wine_quality.escaping import ShownError
from wine_quality.policy.settings import TRACKING_URIS
from wine_quality.settings.runs import MLFLOW_UI, MLFLOW_URI
from wine_quality.sources.allowed_sources import ANY
from wine_quality.sources.location import Location, LocationError, parse_location, redacted

"""Set by `make up`: JSON of where the MLflow UI of each version's embedded store is."""

REGISTRY_VARIABLE = "MLFLOW_REGISTRY_URI"
"""MLflow's own. Its client of 1.26 does not read it; here it counts for each version."""

WHICH_MLFLOW = "/mlflow/"
"""The page of `make up` that lists them, below Dagster's address."""


def uri_variable(key: str) -> str:
    """The variable that names the server of one version."""
    return MLFLOW_URI.of_version(key)


def ui_variable(key: str) -> str:
    """The variable with the address at which people see that server's UI."""
    return MLFLOW_UI.of_version(key)


def configured_uri(key: str) -> str | None:
    """The version's own server, else that of all versions, else None."""
    return os.environ.get(uri_variable(key)) or os.environ.get("MLFLOW_TRACKING_URI") or None


def configured_registry() -> str | None:
    """The registry by MLflow's own variable; None: models are registered where runs are tracked."""
    return os.environ.get(REGISTRY_VARIABLE) or None


def configured_ui(key: str) -> str | None:
    """Address for people of the server of ``configured_uri``, when that is another one; not where
    they see embedded stores, of which each version has its own."""
    if os.environ.get(uri_variable(key)):
        return os.environ.get(ui_variable(key)) or None
    return MLFLOW_UI.read() or None


class ForbiddenServerError(ShownError, RuntimeError):
    """Runs may not go to this server; the message names the setting that allows it."""


def allowed_tracking_uri(uri: str, key: str) -> str:
    """The address that a run of a version goes to when its config names ``uri``. Clients send it
    the credentials of the environment, and other addresses than those of servers are files.

    Returns:
        The address as the environment has it, never the text that was given; only where every
        server is allowed (the command line), another one is returned as it was given.

    Raises:
        ForbiddenServerError: it is neither what the environment configures nor allowed by it, or
            no address that every client reads alike.
    """
    own = _tracking_servers(key)
    return _allowed(uri, "resources.mlflow.config.tracking_uri", own, f"the server of MLflow {key}")


def allowed_registry_uri(uri: str, key: str) -> str:
    """As ``allowed_tracking_uri``, of where models are registered: a registry of its own, or a
    server that runs may be tracked on. Clients send both the same credentials.

    Raises:
        ForbiddenServerError: see there.
    """
    own = (configured_registry() or "", *_tracking_servers(key))
    field = "resources.mlflow.config.registry_uri"
    return _allowed(uri, field, own, f"the registry or the server of MLflow {key}")


def _tracking_servers(key: str) -> tuple[str, ...]:
    """Those that the environment configures; what is not set is empty."""
    return (configured_uri(key) or "", os.environ.get("MLFLOW_TRACKING_URI", ""))


def _allowed(uri: str, field: str, own: Iterable[str], whose: str) -> str:
    try:
        wanted = parse_location(uri)
    except LocationError as error:
        raise ForbiddenServerError(f"{field}: {error}") from error
    listed = TRACKING_URIS.read()
    allowed = [one.strip() for one in (*own, *listed.split(",")) if one.strip()]
    for known in allowed:
        if known != ANY and _same_server(wanted, known):
            return known
    if ANY in allowed:
        return uri
    raise ForbiddenServerError(
        f"{field} is {redacted(uri)}, which is not {whose} here, or has another user or "
        f"password. Whoever runs the platform allows it by ${TRACKING_URIS} (now: "
        f"{redacted(listed) or 'none'}), in the environment of the code location."
    )


def _same_server(wanted: Location, known: str) -> bool:
    try:
        other = parse_location(known)
    except LocationError:
        return False
    if not wanted.names_login_of(other):
        return False
    if wanted.query or other.query or not wanted.host:
        return wanted.text == other.text
    return wanted.server == other.server


def without_password(uri: str) -> str:
    """The URI as it may be shown, and noted: no user, no password, printable characters."""
    return redacted(uri)
