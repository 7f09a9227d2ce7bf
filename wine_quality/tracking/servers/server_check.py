"""Refuse a tracking server that does not answer or does not fit the client, before training."""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

from wine_quality.escaping import ShownError
from wine_quality.sources.location import LocationError, parse_location
from wine_quality.tracking.servers.addresses import without_password

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from wine_quality.environments.versions import MlflowVersion

_TIMEOUT_SECONDS = (5.0, 10.0)  # connect, read


class TrackingServerError(ShownError, RuntimeError):
    """The server cannot be used; the message says why and what to do."""


def check_server(uri: str, version: MlflowVersion) -> None:
    """Compare the server's major version with what the picked client works with."""
    try:
        if parse_location(uri).scheme not in ("http", "https"):
            return
    except LocationError as error:
        raise TrackingServerError(
            f"the MLflow tracking server (tracking_uri, or the variable that names it): {error}"
        ) from error
    major = _server_major(uri)
    if major not in version.servers:
        wanted = " or ".join(f"{number}.x" for number in version.servers)
        raise TrackingServerError(
            f"the tracking server {without_password(uri)} runs MLflow {major}.x, but "
            f'resources.mlflow.config.version "{version.key}" needs a {wanted} server. '
            "Pick the version that fits the server, or another tracking_uri."
        )


@contextmanager
def server_named() -> Iterator[None]:
    """Around what a step does: says which server failed meanwhile, where only MLflow's client would
    speak, which has tried for a while. Also a decorator.

    Raises:
        TrackingServerError: in place of the client's own error, which is its cause.
    """
    try:
        yield
    except Exception as error:
        # Of every version's client, for no answer and for a bad one.
        if not str(error).startswith("API request to"):
            raise
        import mlflow

        code = re.search(r"error code (\d{3})", str(error))
        reason = f"it answered {code[1]}" if code else "it gave no answer"
        raise TrackingServerError(
            f"the MLflow tracking server {without_password(mlflow.get_tracking_uri())} failed "
            f"in the middle of this step: {reason}. Start it, or see its log; then re-execute the "
            "run from failure."
        ) from error


def _server_major(uri: str) -> int:
    import requests

    shown = without_password(uri)
    try:
        answer = _get(f"{uri.rstrip('/')}/version")
        if answer.status_code == 404:
            # MLflow 1.26 has /health and no /version.
            health = _get(f"{uri.rstrip('/')}/health")
            if health.ok and health.text.strip() == "OK":
                return 1
        answer.raise_for_status()
    except requests.RequestException as error:
        raise TrackingServerError(
            f"the MLflow tracking server {shown} (resources.mlflow.config.tracking_uri) cannot be "
            f"used: {_reason(error)}. {_advice(error)}"
        ) from error
    try:
        return int(answer.text.strip().split(".")[0])
    except ValueError:
        raise TrackingServerError(
            f"{shown} (resources.mlflow.config.tracking_uri) answers, but is no MLflow server."
        ) from None


def _get(url: str) -> requests.Response:
    """As MLflow's client asks: the same variables for credentials and certificates."""
    import requests

    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    password = os.environ.get("MLFLOW_TRACKING_PASSWORD")
    token = os.environ.get("MLFLOW_TRACKING_TOKEN")
    basic = (user, password) if user and password else None
    verify: bool | str = os.environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH") or True
    if os.environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() == "true":
        verify = False
    return requests.get(
        url,
        auth=basic,
        headers={"Authorization": f"Bearer {token}"} if token and not basic else None,
        verify=verify,
        timeout=_TIMEOUT_SECONDS,
    )


def _reason(error: Exception) -> str:
    """What the network or the server said, without the names of the libraries in between."""
    import requests

    if isinstance(error, requests.HTTPError):
        return str(error).partition(" for url")[0]
    if isinstance(error, requests.Timeout):
        return "it gives no answer"
    said = re.search(r"\[Errno -?\d+\] [^\"')]+", str(error))
    return said[0] if said else type(error).__name__


def _advice(error: Exception) -> str:
    response = getattr(error, "response", None)
    if response is not None and response.status_code in (401, 403):
        return (
            "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN, "
            "where Dagster's code runs."
        )
    return "Start it, or correct tracking_uri."
