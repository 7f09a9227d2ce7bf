"""Refuse a tracking server that does not answer or does not fit the client, before training."""

from __future__ import annotations

import os
from contextlib import contextmanager, nullcontext
from contextvars import ContextVar
from dataclasses import dataclass
from typing import TYPE_CHECKING

from wine_quality.escaping import ShownError
from wine_quality.sources.location import LocationError, parse_location
from wine_quality.tracking.servers.addresses import without_password
from wine_quality.tracking.servers.failures import ServerFailure, Subjects, advice, failure_of
from wine_quality.tracking.servers.patience import fewer_retries_of_client, retries_up_to

if TYPE_CHECKING:
    from collections.abc import Iterator

    import requests

    from wine_quality.environments.mlflow_versions import MlflowVersion

# Tried again at once and after 2 and 4 seconds: one bad answer does not count, and a server that is
# down is named soon.
_RETRIES = 3
_BACKOFF_FACTOR = 1.0
_TIMEOUT_SECONDS = 10
_IN_MID_RUN = "re-execute the run from failure"

tracked_under: ContextVar[Subjects | None] = ContextVar("tracked_under", default=None)
"""Set by the ``mlflow`` resource when it connects; error messages about permissions name them."""


class TrackingServerError(ShownError, RuntimeError):
    """The server cannot be used; the message gives the reason and what to do."""


@dataclass(frozen=True)
class ServerRole:
    """A use of a server (tracking or registry), and the ``mlflow`` resource's field for it."""

    title: str
    field: str

    @property
    def path(self) -> str:
        """Of the field in run config."""
        return f"resources.mlflow.config.{self.field}"


TRACKING = ServerRole("the MLflow tracking server", "tracking_uri")
REGISTRY = ServerRole("the MLflow model registry", "registry_uri")


def check_server(uri: str, version: MlflowVersion, role: ServerRole = TRACKING) -> None:
    """Compare the server's major version with what the picked client works with.

    A server that does not name its version, but answers MLflow's calls, is taken: a gateway may let
    nothing else through.

    Raises:
        TrackingServerError: it does not answer, or does not fit.
    """
    try:
        if parse_location(uri).scheme not in ("http", "https"):
            return
    except LocationError as error:
        raise TrackingServerError(
            f"{role.title} ({role.field}, or the variable that names it): {error}"
        ) from error
    major = _server_major(uri, role)
    if major is not None and major not in version.servers:
        wanted = " or ".join(f"{number}.x" for number in version.servers)
        raise TrackingServerError(
            f"{role.title} {without_password(uri)} runs MLflow {major}.x, but "
            f'resources.mlflow.config.version "{version.key}" needs a {wanted} server. '
            f"Pick the version that fits the server, or another {role.field}."
        )


@contextmanager
def name_failing_server(retry_step: bool = False) -> Iterator[None]:
    """Around the code of a step: an error of MLflow's client, after its own retries, is raised
    anew as one that names the server. Also a decorator.

    Args:
        retry_step: Have Dagster try the step again a little later where the server was away; only
            for steps that may be done twice. What the server refuses is not tried again.

    Raises:
        TrackingServerError: in place of the client's own error, which is its cause.
        RetryRequested: Dagster's, to be tried again; the error above is its cause.
    """
    try:
        with fewer_retries_of_client() if retry_step else nullcontext():
            yield
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
        role = _role_of(failure)
        what = _describe_failed_server(failure, role)
        reason = advice(failure, tracked_under.get(), _IN_MID_RUN, role.field)
        raised = TrackingServerError(f"{what} {reason}")
        if retry_step and failure.is_passing:
            from wine_quality.tracking.servers.step_retry import retry_request

            again = retry_request(what)
            if again is not None:
                raised.__cause__ = error
                raise again from raised
        raise raised from error


def _role_of(failure: ServerFailure) -> ServerRole:
    """The registry where it is a server of its own and was asked."""
    import mlflow

    is_apart = mlflow.get_registry_uri() != mlflow.get_tracking_uri()
    return REGISTRY if is_apart and failure.is_of_registry else TRACKING


def _describe_failed_server(failure: ServerFailure, role: ServerRole) -> str:
    import mlflow

    uri = mlflow.get_registry_uri() if role is REGISTRY else mlflow.get_tracking_uri()
    server = without_password(uri)
    return f"{role.title} {server} failed in the middle of this step: {failure.reason}."


def _server_major(uri: str, role: ServerRole) -> int | None:
    """The major version that the server reports; None where it reports none."""
    answer = _get(uri, "/version", role)
    if answer.ok and answer.text.strip().split(".")[0].isdecimal():
        return int(answer.text.strip().split(".")[0])
    if answer.status_code == 404:
        # MLflow 1.26 has /health and no /version.
        health = _get(uri, "/health", role)
        if health.ok and health.text.strip() == "OK":
            return 1
    if answer.status_code != 401 and _speaks_mlflow(uri, role):
        return None
    if answer.ok:
        raise TrackingServerError(
            f"{without_password(uri)} ({role.path}) answers, but is not an MLflow server."
        )
    raise _refused(uri, ServerFailure(answer.status_code, "", answer.reason or ""), role)


def _speaks_mlflow(uri: str, role: ServerRole) -> bool:
    """Whether it answers a call of MLflow's, also with the error that an experiment is missing."""
    answer = _get(uri, "/api/2.0/mlflow/experiments/get-by-name?experiment_name=Default", role)
    try:
        found = answer.json()
    except ValueError:
        return False
    return isinstance(found, dict) and (
        "experiment" in found or found.get("error_code") == "RESOURCE_DOES_NOT_EXIST"
    )


def _refused(uri: str, failure: ServerFailure, role: ServerRole) -> TrackingServerError:
    return TrackingServerError(
        f"{role.title} {without_password(uri)} ({role.path}) cannot be used: {failure.reason}. "
        f"{advice(failure, tracked_under.get(), field=role.field)}"
    )


def _get(uri: str, path: str, role: ServerRole) -> requests.Response:
    """By MLflow's own HTTP layer, of the version that was picked: with its credentials, its
    certificates and its plug-ins, a server is refused only where MLflow would be refused too.

    Raises:
        TrackingServerError: no answer, or a bad one again and again.
    """
    from mlflow.exceptions import MlflowException
    from mlflow.utils.rest_utils import http_request

    try:
        return http_request(
            host_creds=_credentials(uri),
            endpoint=path,
            method="GET",
            max_retries=retries_up_to(_RETRIES),
            backoff_factor=_BACKOFF_FACTOR,
            timeout=_TIMEOUT_SECONDS,
        )
    except MlflowException as error:
        failure = failure_of(error) or ServerFailure(None, path, str(error))
        raise _refused(uri, failure, role) from error


def _credentials(uri: str) -> object:
    """MLflow's ``MlflowHostCreds`` of a server: user, password or token, and TLS settings."""
    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    from mlflow.tracking import MlflowClient

    return MlflowClient(uri)._tracking_client.store.get_host_creds()
