"""Where runs are looked for."""

from __future__ import annotations

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from wine_quality.comparison.collect import NothingToCompareError, best_runs, named_runs
from wine_quality.comparison.run_names import parse_run_name
from wine_quality.comparison.stores import Store, fitting_versions, known_stores
from wine_quality.tracking.servers.embedded_store import embedded_uri
from wine_quality_tests.support.servers import free_port


@pytest.fixture
def answering():
    """A server of HTTP that answers by path, as MLflow's of each version do."""
    servers = []

    def start(answers: dict[str, tuple[int, str]]) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                code, text = answers.get(self.path, (404, "Not Found"))
                self.send_response(code)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        servers.append(server)
        Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def keys(uri: str) -> list[str]:
    return [version.key for version in fitting_versions(uri)]


def test_a_server_is_read_by_the_client_of_its_version(answering):
    assert keys(answering({"/version": (200, "3.17.2")})) == ["3"]
    assert keys(answering({"/version": (200, "2.9.0")})) == ["2.1.1"]
    assert keys(answering({"/health": (200, "OK")})) == ["1.26"]  # it has no /version
    # MLflow 3 leaves the store that it works on in the environment.
    assert keys(embedded_uri("2.1.1")) == ["2.1.1"]
    # One that asks for a login first, or is away: the clients have credentials, and say why.
    every = ["3", "2.1.1", "1.26"]
    assert keys(answering({"/version": (401, "")})) == every
    assert keys(f"http://127.0.0.1:{free_port()}") == every


def test_the_stores_of_a_home_of_its_stack_and_of_the_environment(home, monkeypatch):
    assert known_stores() == []
    for key in ("3", "1.26"):
        (home / f"mlflow-{key}").mkdir(parents=True)
        (home / f"mlflow-{key}" / "mlflow.db").write_bytes(b"x" if key == "3" else b"")
    state = home / "stack" / "state.json"
    state.parent.mkdir()
    running = {"pid": os.getpid(), "ports": {"mlflow-2.1.1": 5555, "postgres": 5432}}
    state.write_text(json.dumps(running))
    monkeypatch.setenv("WINE_QUALITY_MLFLOW_URI_1_26", "http://u:secret@one.example:1")
    found = {(store.version, store.uri): store.title for store in known_stores()}
    assert list(found) == [
        ("3", f"sqlite:///{home}/mlflow-3/mlflow.db"),  # an empty file is no store
        ("2.1.1", "http://127.0.0.1:5555"),
        ("1.26", "http://u:secret@one.example:1"),
    ]
    assert not any("secret" in title for title in found.values())
    # What a stack that went down has left is none.
    state.write_text(json.dumps({**running, "pid": 2**22 + 1}))
    assert "2.1.1" not in [store.version for store in known_stores()]


def test_a_run_that_is_nowhere_is_said_with_the_stores_that_were_searched(home):
    name = parse_run_name("a" * 32)
    with pytest.raises(NothingToCompareError, match="Searched: no store: nothing was tracked"):
        named_runs([name], known_stores())
    with pytest.raises(NothingToCompareError, match="`make run` makes one"):
        best_runs(known_stores(), "wines")


def test_a_version_that_is_not_built_is_said_with_the_command_that_builds_it(monkeypatch, tmp_path):
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(tmp_path))
    store = Store("1.26", "sqlite:////nowhere.db", "the store")
    with pytest.raises(NothingToCompareError, match="the store – not read: .*make env MLFLOW=1.26"):
        named_runs([parse_run_name("a" * 32)], [store])
