"""A stand-in for a cluster's API server: enough of it for kubectl to discover, apply and get.

It keeps what is applied, without defaults, validation or controllers: tests write the status.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import yaml

KINDS = {
    "mlops.seldon.io/v1alpha1": {"Model": "models", "Server": "servers"},
    "machinelearning.seldon.io/v1": {"SeldonDeployment": "seldondeployments"},
    "serving.kserve.io/v1beta1": {"InferenceService": "inferenceservices"},
}


class KubernetesApi:
    """Knows the kinds of ``groups``; ``held`` is what was applied, by kind and name.

    Attributes:
        status: By kind: what a controller writes into each resource from the n-th get on; the
            last entry stays.
    """

    def __init__(self, folder: Path, groups: tuple[str, ...] = tuple(KINDS)) -> None:
        self.groups = groups
        self.held: dict[tuple[str, str], dict[str, Any]] = {}
        self.status: dict[str, list[dict[str, Any]]] = {}
        self.requests: list[tuple[str, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self.kubeconfig = kubeconfig(folder, self.url)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, dict[str, Any]]:
        self.requests.append((method, path))
        parts = path.partition("?")[0].strip("/").split("/")
        if parts == ["api"]:
            return 200, {"kind": "APIVersions", "versions": ["v1"]}
        if parts == ["api", "v1"]:
            return 200, _resources("v1", {})
        if parts == ["openapi", "v3"]:
            paths = {f"apis/{one}": {"serverRelativeURL": f"/openapi/v3/{one}"} for one in KINDS}
            return 200, {"paths": paths}
        if parts[:2] == ["openapi", "v3"]:
            return 200, _openapi("/".join(parts[2:]))
        if parts == ["apis"]:
            return 200, {"kind": "APIGroupList", "apiVersion": "v1", "groups": self._groups()}
        if parts[0] == "apis" and "/".join(parts[1:3]) in self.groups:
            group = "/".join(parts[1:3])
            if len(parts) == 3:
                return 200, _resources(group, KINDS[group])
            if len(parts) == 7:
                kinds = {plural: kind for kind, plural in KINDS[group].items()}
                return self._resource(method, (kinds[parts[5]], parts[6]), body)
        return 404, _failure(404, "NotFound", "the server could not find the requested resource")

    def _groups(self) -> list[dict[str, Any]]:
        found = []
        for group in self.groups:
            version = {"groupVersion": group, "version": group.partition("/")[2]}
            name = group.partition("/")[0]
            found.append({"name": name, "versions": [version], "preferredVersion": version})
        return found

    def _resource(
        self, method: str, key: tuple[str, str], body: bytes
    ) -> tuple[int, dict[str, Any]]:
        if method == "PATCH":
            document = yaml.safe_load(body)
            before = self.held.get(key, {"metadata": {"generation": 0}})
            # As an API server does: what changes nothing of the specification is no new one.
            changed = document["spec"] != before.get("spec")
            document["metadata"]["generation"] = before["metadata"]["generation"] + changed
            document["metadata"]["resourceVersion"] = "1"
            self.held[key] = {**document, "status": before.get("status", {})}
            return 200, self.held[key]
        if key not in self.held:
            return 404, _failure(404, "NotFound", f"{key[0]} {key[1]!r} not found")
        statuses = self.status.get(key[0], [])
        if statuses:
            self.held[key]["status"] = statuses[0] if len(statuses) == 1 else statuses.pop(0)
        return 200, self.held[key]


def kubeconfig(folder: Path, url: str, context: str = "kind") -> Path:
    """A kubeconfig with one context for the API server at ``url``."""
    file = folder / "kubeconfig.yaml"
    file.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "one", "cluster": {"server": url}}],
                "users": [{"name": "one", "user": {}}],
                "contexts": [{"name": context, "context": {"cluster": "one", "user": "one"}}],
            }
        )
    )
    return file


def _resources(group: str, kinds: dict[str, str]) -> dict[str, Any]:
    verbs = ["get", "list", "patch", "create"]
    return {
        "kind": "APIResourceList",
        "apiVersion": "v1",
        "groupVersion": group,
        "resources": [
            {
                "name": plural,
                "singularName": kind.lower(),
                "namespaced": True,
                "kind": kind,
                "verbs": verbs,
            }
            for kind, plural in kinds.items()
        ],
    }


def _openapi(group: str) -> dict[str, Any]:
    """As of a server that checks fields itself, which each since 1.27 does: kubectl asks."""
    name, _, version = group.partition("/")
    checked = [{"name": "fieldValidation", "in": "query", "schema": {"type": "string"}}]
    return {
        "openapi": "3.0.0",
        "info": {"title": "stand-in", "version": "1"},
        "paths": {
            f"/apis/{group}/namespaces/{{namespace}}/{plural}/{{name}}": {
                "patch": {
                    "parameters": checked,
                    "responses": {},
                    "x-kubernetes-group-version-kind": {
                        "group": name,
                        "version": version,
                        "kind": kind,
                    },
                }
            }
            for kind, plural in KINDS[group].items()
        },
    }


def _failure(code: int, reason: str, message: str) -> dict[str, Any]:
    status = {"kind": "Status", "apiVersion": "v1", "status": "Failure"}
    return {**status, "code": code, "reason": reason, "message": message}


def _handler(api: KubernetesApi) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            code, document = api.answer(self.command, self.path, body)
            data = json.dumps(document).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        do_GET = do_PATCH = do_POST = answer

    return Handler
