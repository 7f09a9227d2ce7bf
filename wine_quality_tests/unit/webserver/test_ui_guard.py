"""Who may ask a UI that wants no password: by real HTTP, through the webserver's own layer."""

from __future__ import annotations

import base64
import http.client
import json
import os
import socket
import threading
from collections.abc import Iterator

import pytest
import requests
import uvicorn

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.settings.internal import MLFLOW_UIS as UIS
from wine_quality.stack.tracking import guard_variables
from wine_quality.webserver.guard import VARIABLE, allowed_hosts, refusal
from wine_quality.webserver.layer import GuardedApplication
from wine_quality.webserver.mlflow_pages import WithMlflowPages
from wine_quality_tests.support.servers import MlflowServer, await_condition

QUERY = json.dumps({"query": "mutation { launch }"})
JSON = {"Content-Type": "application/json"}
CROSS = {"Sec-Fetch-Site": "cross-site"}
SAME_SITE = {"Sec-Fetch-Site": "same-site"}
OPENED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
FRAMED = {"Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "iframe"}
HTML = {"Accept": "text/html,application/xhtml+xml"}


class Site:
    """The layer on a port, around an application that answers everything with ``reached``."""

    def __init__(self, listening: socket.socket) -> None:
        self.port = listening.getsockname()[1]

    def ask(
        self, method: str, path: str, headers: dict[str, str], body: str | None = None
    ) -> tuple[int, str, dict[str, str]]:
        """``Host`` is ``localhost`` unless it is among the headers."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            sent = {"Host": f"localhost:{self.port}", **headers}
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return answer.status, answer.read().decode(), found
        finally:
            connection.close()


async def _application(scope, receive, send) -> None:
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
        return await send({"type": "websocket.close"})
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    listening = socket.create_server(("127.0.0.1", 0))
    before = os.environ.get(UIS)
    os.environ[UIS] = json.dumps({"2.1.1": "http://localhost:5101", "3": "https://three.example"})
    application = GuardedApplication(WithMlflowPages(_application), allowed_hosts())
    if before is None:
        del os.environ[UIS]
    server = uvicorn.Server(uvicorn.Config(application, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, args=([listening],), daemon=True)
    thread.start()
    await_condition(lambda: server.started, "the site")
    yield Site(listening)
    server.should_exit = True
    thread.join(20)


@pytest.mark.parametrize(
    ("method", "path", "headers", "reason"),
    [
        # What any page can have a browser send without asking first.
        (
            "POST",
            "/graphql",
            {"Content-Type": "text/plain", "Origin": "https://evil.example"},
            "si",
        ),
        ("POST", "/graphql", {"Content-Type": "text/plain"}, "application/json"),
        ("POST", "/graphql", {"Content-Type": "application/x-www-form-urlencoded"}, "application/"),
        ("POST", "/graphql", {}, "application/json"),
        ("POST", "/graphql", {**JSON, "Origin": "https://evil.example"}, "another site"),
        ("POST", "/graphql", {**JSON, "Origin": "null"}, "another site"),
        ("POST", "/graphql", {**JSON, "Origin": "http://localhost:1"}, "another site"),
        ("POST", "/graphql", {**JSON, **CROSS}, "another site"),
        ("POST", "/graphql", {**JSON, **SAME_SITE}, "another site"),
        ("POST", "/report_asset_materialization/a", {"Origin": "http://evil.example"}, "another"),
        ("POST", "/report_asset_materialization/a", {**CROSS, **OPENED}, "another site"),
        ("GET", "/graphql?query=mutation", {}, "POST"),
        # Starlette's routes end with $, which a line break may follow.
        ("GET", "/graphql%0a?query=mutation", {}, "POST"),
        ("POST", "/graphql%0a?query=mutation", {"Content-Type": "text/plain"}, "application/json"),
        ("GET", "/graphql?query=mutation", {**CROSS, **OPENED, **HTML}, "another site"),
        ("GET", "/runs", {**CROSS, **FRAMED}, "another site"),
        ("GET", "/runs", {**CROSS, "Sec-Fetch-Mode": "no-cors"}, "another site"),
        # A page that has renamed itself to this machine's address.
        ("POST", "/graphql", {**JSON, "Host": "evil.example"}, VARIABLE),
        ("GET", "/", {"Host": "evil.example:5000"}, VARIABLE),
        ("GET", "/", {"Host": "localhost.evil.example"}, VARIABLE),
        ("GET", "/", {"Host": "localhost:5000@evil.example"}, VARIABLE),
        ("GET", "/", {"Host": "0.0.0.0:5000"}, VARIABLE),
        ("GET", "/", {"Host": "\x9b31mevil"}, r"\x9b31mevil"),
        ("GET", "/mlflow/3/", {"Host": "evil.example"}, VARIABLE),
    ],
)
def test_others_are_refused_with_one_sentence(site, method, path, headers, reason):
    status, text, _ = site.ask(method, path, headers, QUERY if method == "POST" else None)
    assert (status, text.count("\n")) == (403, 1)
    assert reason in text and "\x9b" not in text


@pytest.mark.parametrize(
    ("method", "path", "headers"),
    [
        ("POST", "/graphql", JSON),
        ("POST", "/graphql", {"Content-Type": "application/json; charset=utf-8"}),
        ("POST", "/graphql", {**JSON, "Host": "127.0.0.1"}),
        ("GET", "/", {"Host": "[::1]:5000"}),
        ("GET", "/", {"Host": "LOCALHOST:5000"}),
        ("POST", "/graphql", {**JSON, "Host": "localhost:1", "Origin": "http://localhost:1"}),
        ("POST", "/graphql", {**JSON, "Host": "localhost", "Origin": "https://localhost"}),
        ("GET", "/graphql", {"Accept": "text/html"}),
        ("GET", "/runs/1", {**CROSS, **OPENED}),
        ("GET", "/runs/1", {**SAME_SITE, **OPENED}),
        ("GET", "/script.js", {"Sec-Fetch-Site": "same-origin"}),
        ("GET", "/", {"Sec-Fetch-Site": "none"}),
    ],
)
def test_programs_and_its_own_pages_are_answered(site, method, path, headers):
    status, text, found = site.ask(method, path, headers, QUERY if method == "POST" else None)
    assert (status, text) == (200, "reached")
    assert found["x-frame-options"] == "SAMEORIGIN"


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 101),
        ({"Origin": "http://localhost:{port}"}, 101),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Host": "evil.example"}, 403),
        (CROSS, 403),
    ],
)
def test_the_websocket_too(site, headers, status):
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": base64.b64encode(os.urandom(16)).decode(),
    }
    sent = {name: value.format(port=site.port) for name, value in headers.items()}
    assert site.ask("GET", "/graphql", {**upgrade, **sent})[0] == status


def test_names_of_the_environment_are_allowed(monkeypatch):
    def refused(host: str, *origin: str) -> bool:
        headers = [("Host", host), *(("Origin", one) for one in origin)]
        return refusal("GET", "/", headers, allowed_hosts("0.0.0.0")) is not None

    assert refused("dagster.example.org") and refused("wine") and refused("0.0.0.0")
    monkeypatch.setenv("DAGSTER_WEBSERVER_URL", "https://dagster.example.org")
    monkeypatch.setenv(VARIABLE, "wine, Other.example")
    assert not refused("dagster.example.org", "https://dagster.example.org")
    assert not refused("wine:5000") and not refused("other.example")
    # A proxy before it may name it otherwise.
    assert not refused("wine:5000", "https://dagster.example.org")
    assert refused("wine:5000", "https://wine")


def test_two_hosts_are_none():
    headers = [("Host", "localhost"), ("host", "evil.example")]
    assert refusal("GET", "/", headers, allowed_hosts()) is not None
    assert refusal("GET", "/", [], allowed_hosts()) is not None


@pytest.mark.parametrize(
    ("path", "host", "location"),
    [
        ("/mlflow/2.1.1/", "localhost:1", "http://localhost:5101/"),
        ("/mlflow/2.1.1", "127.0.0.1:1", "http://127.0.0.1:5101/"),
        ("/mlflow/2.1.1/", "[::1]:1", "http://[::1]:5101/"),
        ("/mlflow/2.1.1/a%0d%0ab?c=d", "localhost", "http://localhost:5101/a%0D%0Ab?c=d"),
        ("/mlflow/3//evil.example", "localhost", "https://three.example/evil.example"),
    ],
)
def test_a_path_leads_to_the_ui_of_its_version(site, path, host, location):
    status, _, headers = site.ask("GET", path, {"Host": host})
    assert (status, headers["location"]) == (307, location)


def test_other_paths_below_it(site):
    assert site.ask("GET", "/mlflow/9/", {})[0] == 404
    assert site.ask("POST", "/mlflow/3/", {})[0] == 405
    assert site.ask("GET", "/mlflowers", {})[1] == "reached"
    status, text, _ = site.ask("GET", "/mlflow/", {})
    assert status == 200 and "MLflow versions and their UIs" in text


def _status(uri: str, headers: dict[str, str]) -> tuple[int, str]:
    body = json.dumps({"name": "somebody's"})
    answer = requests.post(
        f"{uri}/api/2.0/mlflow/experiments/create", body, headers=headers, timeout=30
    )
    return answer.status_code, answer.text


@pytest.mark.slow
@pytest.mark.parametrize("key", [v.key for v in MLFLOW_VERSIONS.values() if not v.is_guarded])
def test_the_stacks_older_mlflow_servers_have_it(key, tmp_path):
    version = MLFLOW_VERSIONS[key]
    if not version.python.exists():
        pytest.skip(f"no environment of MLflow {key}")
    server = MlflowServer(version, tmp_path, **guard_variables(version, {VARIABLE: "wine"}))
    try:
        page = {"Content-Type": "text/plain", "Origin": "https://evil.example"}
        assert _status(server.uri, page)[0] == 403
        assert _status(server.uri, {"Host": "evil.example"})[0] == 403
        assert _status(server.uri, {"Host": "wine"})[0] == 200
        # What the clients ask, with nothing of a browser.
        assert server.get("experiments/get?experiment_id=1")["experiment"]["name"] == "somebody's"
    finally:
        server.stop()
