"""``kubectl``, with a time-out on each call and errors that name the remedy."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from wine_quality.deployment.manifests import yaml_text
from wine_quality.deployment.pods import MANAGED_BY, Document
from wine_quality.escaping import ProjectError

# Requests have a time-out of their own; this much later one that hangs all the same is ended.
_GRACE_SECONDS = 5.0


class DeploymentError(ProjectError, RuntimeError):
    """The model could not be deployed; the message names the remedy."""


@dataclass(frozen=True)
class Kubectl:
    """Calls of ``kubectl`` against one context.

    Attributes:
        context: Of the kubeconfig that kubectl finds ($KUBECONFIG, else ~/.kube/config).
        program: Name on PATH, or path.
        call_seconds: After which one call is given up.
        controller: What defines the kinds of the documents, such as KServe.
    """

    context: str
    program: str = "kubectl"
    call_seconds: float = 30.0
    controller: str = "what defines it"

    def check_context(self) -> None:
        """Refuse a context that the kubeconfig does not have.

        Raises:
            DeploymentError: the context is not in it, or kubectl is not installed.
        """
        known = self._call("config", "get-contexts", "-o", "name").split()
        if self.context not in known:
            raise DeploymentError(
                f"there is no Kubernetes context {self.context!r}; kubectl knows "
                f"{', '.join(sorted(known)) or 'none'}. Name one of these, or point KUBECONFIG at "
                "the file that has it"
            )

    def apply(self, documents: Iterable[Document]) -> None:
        """Server-side apply, in the documents' order.

        Fields of the manifests are set again if somebody changed them, such as a person with
        ``kubectl scale``; fields that they leave out stay with their owners.

        Raises:
            DeploymentError: the cluster cannot be reached, lacks the resource's definition, or
                refused the document.
        """
        self._call(
            *self._on_cluster(),
            *("apply", "--server-side", "--force-conflicts", f"--field-manager={MANAGED_BY}"),
            *("--filename", "-"),
            text=yaml_text(documents),
        )

    def get(self, document: Document) -> dict[str, Any]:
        """The resource as it stands on the cluster.

        Raises:
            DeploymentError: as for ``apply``, or it is gone.
        """
        about = document["metadata"]
        plain = self._call(
            *self._on_cluster(),
            *("get", resource_type(document), about["name"]),
            *("--namespace", about["namespace"], "--output", "json"),
        )
        try:
            found = json.loads(plain)
        except ValueError:
            found = None
        if not isinstance(found, dict):
            raise DeploymentError(f"kubectl gave no JSON for {named(document)}: {plain[:200]!r}")
        return found

    def _on_cluster(self) -> tuple[str, ...]:
        return ("--context", self.context, f"--request-timeout={self.call_seconds:g}s")

    def _call(self, *arguments: str, text: str | None = None) -> str:
        program = shutil.which(self.program)
        if program is None:
            raise DeploymentError(
                f"{self.program} is not on PATH: install it to apply manifests, or set no "
                "Kubernetes context to have them written only"
            )
        allowed = self.call_seconds + _GRACE_SECONDS
        try:
            done = subprocess.run(
                [program, *arguments],
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                capture_output=True,
                text=True,
                timeout=allowed,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise DeploymentError(
                f"kubectl {_verb(arguments)} did not end within {allowed:g} s: is the cluster of "
                f"context {self.context!r} reachable?"
            ) from None
        except OSError as error:
            raise DeploymentError(f"{program} cannot be run: {error}") from error
        if done.returncode:
            raise DeploymentError(self._why(done.stderr.strip() or done.stdout.strip(), arguments))
        return done.stdout

    def _why(self, text: str, arguments: tuple[str, ...]) -> str:
        if missing := re.search(r'no matches for kind "(\w+)" in version "([\w.]+)/\w+"', text):
            kind, group = missing.groups()
            return (
                f"the cluster of context {self.context!r} does not know {kind} ({group}): install "
                f"{self.controller} there, or choose another target"
            )
        if re.search(r"connection refused|no such host|i/o timeout|Unable to connect", text):
            return (
                f"the cluster of context {self.context!r} cannot be reached; is it up, and this "
                f"machine allowed to? kubectl answered: {_short(text)}"
            )
        if match := re.search(r'namespaces "([^"]+)" not found', text):
            return (
                f"there is no namespace {match[1]!r} on the cluster of context {self.context!r}: "
                f"kubectl --context {self.context} create namespace {match[1]}"
            )
        if "forbidden" in text.lower() or "unauthorized" in text.lower():
            return f"the user of context {self.context!r} may not do this: {_short(text)}"
        return f"kubectl {_verb(arguments)} failed: {_short(text)}"


def resource_type(document: Document) -> str:
    """Full name of the type, such as model.v1alpha1.mlops.seldon.io, unique across API groups."""
    group, _, version = document["apiVersion"].rpartition("/")
    return f"{document['kind'].lower()}.{version}.{group}"


def named(document: Document) -> str:
    """Kind and name, such as Model elasticnet-wine-model."""
    return f"{document['kind']} {document['metadata']['name']}"


def _verb(arguments: tuple[str, ...]) -> str:
    return next((one for one in arguments if one in ("config", "apply", "get")), arguments[0])


def _short(text: str) -> str:
    return " ".join(text.split())[:600]
