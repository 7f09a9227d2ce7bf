"""Apply a model's manifests to a Kubernetes context, and wait until the model answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import quote

from wine_quality.deployment.kubectl import DeploymentError, Kubectl, named
from wine_quality.deployment.manifest_settings import ManifestModel, ManifestSettings
from wine_quality.deployment.pods import Document
from wine_quality.deployment.target import DeployTarget, ServedAs

_REQUEST_SECONDS = 5.0


@dataclass(frozen=True)
class Endpoint:
    """The URL at which the deployed model is asked whether it is ready.

    Attributes:
        url: What stands before /v2: of the ingress, or of a port-forward. With Seldon Core v1
            that includes /seldon/<namespace>/<name>.
        headers: That the ingress routes by, such as Host for KServe.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def ready_url(self, model: ServedAs) -> str:
        """The V2 protocol's readiness of that very version."""
        version = f"/versions/{quote(model.version, safe='')}" if model.version else ""
        return f"{self.url.rstrip('/')}/v2/models/{quote(model.name, safe='')}{version}/ready"


def deploy(
    target: DeployTarget,
    model: ManifestModel,
    settings: ManifestSettings,
    kubectl: Kubectl,
    *,
    endpoint: Endpoint | None = None,
    timeout_seconds: float = 300.0,
    poll_seconds: float = 2.0,
    report: Callable[[str], None] = lambda line: None,
) -> None:
    """Apply the target's documents, wait for each to be ready, then for the model to answer.

    Args:
        endpoint: None: the controllers' word that all is ready is enough.
        timeout_seconds: For all of it.
        report: Called with a line for each step.

    Raises:
        ValueError: the target cannot serve the model; the message gives the reason.
        DeploymentError: there is no kubectl or no such context, the cluster lacks the resource's
            definition or refused a document, or it was not ready in time; the message holds the
            conditions of the resource that was waited for, or what the model answered.
    """
    deadline = time.monotonic() + timeout_seconds
    documents = target.documents(model, settings)
    kubectl = replace(kubectl, controller=target.controller)
    kubectl.check_context()
    kubectl.apply(documents)
    report(f"applied {', '.join(map(named, documents))} to context {kubectl.context}")
    for document in documents:
        _await_ready(target, document, kubectl, deadline, timeout_seconds, poll_seconds)
        report(f"{named(document)} is ready")
    if endpoint is not None:
        url = endpoint.ready_url(target.served_as(model, settings))
        _await_answer(url, endpoint.headers, deadline, timeout_seconds, poll_seconds)
        report(f"{url} answers")


def _await_ready(
    target: DeployTarget,
    document: Document,
    kubectl: Kubectl,
    deadline: float,
    allowed: float,
    poll: float,
) -> None:
    last = "its status was never read"
    while True:
        try:
            state = target.readiness(kubectl.get(document))
        except DeploymentError as error:
            # A cluster's API may be gone for a moment; if it stays away, the time-out reports it.
            last = str(error)
        else:
            if state.ready:
                return
            last = state.status
            if state.failed:
                raise DeploymentError(f"{named(document)} failed: {last}")
        if time.monotonic() + poll > deadline:
            about = document["metadata"]
            raise DeploymentError(
                f"{named(document)} was not ready within {allowed:g} s: {last}. See kubectl "
                f"--context {kubectl.context} --namespace {about['namespace']} describe "
                f"{document['kind'].lower()} {about['name']}"
            )
        time.sleep(poll)


def await_answer(url: str, seconds: float, poll_seconds: float = 0.5) -> None:
    """Wait until a URL answers with 200.

    Raises:
        DeploymentError: it did not in time; the message gives the last status or error.
    """
    last = _await_ok(url, {}, time.monotonic() + seconds, poll_seconds)
    if last:
        raise DeploymentError(f"{url} did not answer within {seconds:g} s: {last}.")


def _await_answer(
    url: str, headers: Mapping[str, str], deadline: float, allowed: float, poll: float
) -> None:
    last = _await_ok(url, headers, deadline, poll)
    if last:
        raise DeploymentError(
            f"the resources are ready, but {url} was not within {allowed:g} s: {last}. Is the "
            "address that of the ingress, with the headers it routes by?"
        )


def _await_ok(url: str, headers: Mapping[str, str], deadline: float, poll: float) -> str:
    """Empty once the URL answers with 200; at the deadline the last status or error."""
    import requests

    while True:
        try:
            answer = requests.get(
                url, headers=dict(headers), timeout=_REQUEST_SECONDS, allow_redirects=False
            )
            if answer.status_code == 200:
                return ""
            # Without the answer's text: a user who names an address could otherwise read pages that
            # only the code location can reach.
            last = f"HTTP {answer.status_code}"
        except requests.RequestException as error:
            last = f"no answer ({type(error).__name__})"
        if time.monotonic() + poll > deadline:
            return last
        time.sleep(poll)
