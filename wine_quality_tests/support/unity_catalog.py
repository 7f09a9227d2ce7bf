"""A stand-in for Unity Catalog: MLflow's real client of it speaks with a real MLflow 3 server.

No Databricks workspace was at hand. This translates the client's calls into those of the server
behind it, refuses what Unity Catalog refuses (names without three levels, stages, sorted searches,
other conditions than one name or run), leaves tags and aliases out of searches, and keeps the
files of versions itself, by addresses for one upload or download each.
"""

from __future__ import annotations

import json
import re
import threading
import urllib.error
import urllib.parse
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from wine_quality_tests.support.servers import MlflowServer

TOKEN = "only-for-these-tests"
_CATALOG = "/api/2.0/mlflow/unity-catalog/"
_NO_SOURCE = "s3://of-the-stand-in/"
_CONDITION = re.compile(r"(name|run_id) ?= ?('[^']*'|\"[^\"]*\")")
_THREE_LEVELS = re.compile(r"[^\s./]+\.[^\s./]+\.[^\s./]+")


class RefusedError(Exception):
    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status, self.body = status, {"error_code": code, "message": message}


class UnityCatalog:
    """Running until ``stop``.

    Attributes:
        behind: The MLflow server that has the models.
        calls: Method and path of each call, in order.
        refused: The messages of the calls that were refused by the stand-in itself.
    """

    def __init__(self, behind: MlflowServer, folder: Path) -> None:
        self.behind, self.folder = behind, folder
        self.calls: list[str] = []
        self.refused: list[str] = []
        self.sources: dict[tuple[str, str], str] = {}

        class Handler(_Handler):
            catalog = self

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.uri = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    @property
    def variables(self) -> dict[str, str]:
        """Of the environment, by which the client finds it as a workspace."""
        return {"DATABRICKS_HOST": self.uri, "DATABRICKS_TOKEN": TOKEN}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def answer(self, method: str, page: str, given: dict[str, Any]) -> dict[str, Any]:
        """Of one call below ``unity-catalog/``.

        Raises:
            RefusedError: it refuses, or the server behind it did.
        """
        name = given.get("name")
        if name is not None and not _THREE_LEVELS.fullmatch(name):
            raise self._refusal(f"{name!r} is not a valid name: use catalog.schema.model")
        if page.startswith("registered-models:is-databricks-sdk"):
            return {"is_databricks_sdk_models_artifact_repository_enabled": False}
        if page == "model-versions/generate-temporary-credentials":
            return {"credentials": {"storage_mode": "DEFAULT_STORAGE"}}
        if page == "model-versions/get-download-uri":
            return {"artifact_uri": "s3://nobody-else-has-its-keys"}
        if page == "model-versions/create":
            return self._create_version(given)
        if page == "model-versions/finalize":
            method, page = "GET", "model-versions/get"
        if page.endswith("/search"):
            self._check_search(page, given)
        if not re.fullmatch(
            r"(registered-models|model-versions)/(create|update|delete|get|search|set-tag"
            r"|delete-tag|alias)",
            page,
        ):
            raise self._refusal(f"no API {page}", 404, "ENDPOINT_NOT_FOUND")
        return self._translated(self._ask(method, page, given), searched=page.endswith("search"))

    def _check_search(self, page: str, given: dict[str, Any]) -> None:
        condition = given.get("filter", "")
        is_of_versions = page.startswith("model-versions")
        if "order_by" in given or (condition and not is_of_versions):
            raise self._refusal(f"{page}: neither order_by nor filter")
        found = _CONDITION.fullmatch(condition)
        if is_of_versions and not found:
            raise self._refusal(f"the filter {condition!r} is not one name or run_id")
        if found and found[1] == "name" and not _THREE_LEVELS.fullmatch(found[2][1:-1]):
            raise self._refusal(f"the filter {condition!r} names no model of a catalog")

    def _create_version(self, given: dict[str, Any]) -> dict[str, Any]:
        # The server behind it does not have the run.
        known = {key: given[key] for key in ("name", "description", "tags") if key in given}
        known |= {"run_id": given.get("run_id", ""), "source": _NO_SOURCE + given["name"]}
        made = self._ask("POST", "model-versions/create", known)
        version = made["model_version"]["version"]
        self.sources[given["name"], version] = given["source"]
        return self._translated(made)

    def _translated(self, answer: dict[str, Any], searched: bool = False) -> dict[str, Any]:
        """In Unity Catalog's words, which have no stages."""
        one = [answer[key] for key in ("model_version", "registered_model") if key in answer]
        for found in [
            *one,
            *answer.get("model_versions", []),
            *answer.get("registered_models", []),
        ]:
            for key in ("current_stage", "latest_versions"):
                found.pop(key, None)
            if "version" in found:
                found["source"] = self.sources.get((found["name"], found["version"]), "")
                aliases = found.pop("aliases", [])
                found["aliases"] = [
                    {"alias": alias, "version": found["version"]} for alias in aliases
                ]
            if searched:
                found.pop("tags", None)
                found.pop("aliases", None)
        return answer

    def _ask(self, method: str, page: str, given: dict[str, Any]) -> dict[str, Any]:
        url = f"{self.behind.uri}/api/2.0/mlflow/{page}"
        body = None
        if method == "GET":
            url += "?" + urllib.parse.urlencode(given)
        else:
            body = json.dumps(given).encode()
        headers = {"Content-Type": "application/json"}
        asked = urllib.request.Request(url, data=body, headers=headers, method=method)
        try:
            with urllib.request.urlopen(asked, timeout=20) as answer:
                return json.loads(answer.read() or b"{}")
        except urllib.error.HTTPError as error:
            message = json.loads(error.read())
            raise RefusedError(error.code, message["error_code"], message["message"]) from None

    def _refusal(
        self, message: str, status: int = 400, code: str = "INVALID_PARAMETER_VALUE"
    ) -> RefusedError:
        self.refused.append(message)
        return RefusedError(status, code, message)


class _Handler(BaseHTTPRequestHandler):
    catalog: UnityCatalog

    def log_message(self, *_: object) -> None:
        pass

    def _do(self) -> None:
        address = urllib.parse.urlsplit(self.path)
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            if address.path.startswith("/files/"):
                self._file(address.path, content)
                return
            self.catalog.calls.append(f"{self.command} {address.path}")
            if self.headers.get("Authorization") != f"Bearer {TOKEN}":
                raise RefusedError(401, "UNAUTHENTICATED", "no token")
            given = dict(urllib.parse.parse_qsl(address.query))
            given |= json.loads(content) if content else {}
            self._send(200, self._answer(address.path, given))
        except RefusedError as refusal:
            self._send(refusal.status, refusal.body)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _do

    def _answer(self, path: str, given: dict[str, Any]) -> dict[str, Any]:
        if path.startswith(_CATALOG):
            return self.catalog.answer(self.command, path[len(_CATALOG) :], given)
        if path in ("/api/2.0/fs/create-upload-url", "/api/2.0/fs/create-download-url"):
            return {"url": f"{self.catalog.uri}/files{given['path']}", "headers": []}
        if path.startswith("/api/2.0/fs/directories/"):
            return self._listed(path.removeprefix("/api/2.0/fs/directories").rstrip("/"))
        raise RefusedError(404, "ENDPOINT_NOT_FOUND", f"no API {path}")

    def _listed(self, path: str) -> dict[str, Any]:
        folder = self.catalog.folder / path.lstrip("/")
        if not folder.is_dir():
            raise RefusedError(404, "NOT_FOUND", path)
        contents = [
            {"path": f"{path}/{one.name}", "is_directory": one.is_dir(), "name": one.name}
            | ({} if one.is_dir() else {"file_size": one.stat().st_size})
            for one in folder.iterdir()
        ]
        return {"contents": contents}

    def _file(self, path: str, content: bytes) -> None:
        file = self.catalog.folder / path.removeprefix("/files/")
        if self.command == "PUT":
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
            self._send(200, {})
            return
        self._send_bytes(200, file.read_bytes())

    def _send(self, status: int, body: dict[str, Any]) -> None:
        self._send_bytes(status, json.dumps(body).encode())

    def _send_bytes(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
