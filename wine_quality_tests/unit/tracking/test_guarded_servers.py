"""The check before a run at servers that want more than a password: what MLflow can use is taken.

A small stand-in answers ``/version`` as MLflow's server does; it is only about who gets that far.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import trustme

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tracking.servers.server_check import TrackingServerError, check_server

VERSION = MLFLOW_VERSIONS["3"]
HEADER = "X-Tasting-Room"


class StandIn(BaseHTTPRequestHandler):
    wanted: dict[str, str] = {}
    statuses: list[int] = []  # of the answers; the last one stays

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        allowed = all(self.headers.get(name) == value for name, value in self.wanted.items())
        content = b"3.17.2" if allowed else b"who are you?"
        status = 200 if allowed else 401
        if self.statuses:
            status = self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def serve(handler: type[StandIn], context: ssl.SSLContext | None = None) -> ThreadingHTTPServer:
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    if context is not None:
        server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


@pytest.fixture(autouse=True)
def no_pause(monkeypatch) -> None:
    monkeypatch.setattr("wine_quality.tracking.servers.server_check._BACKOFF_FACTOR", 0.0)


@pytest.fixture
def certificates(tmp_path: Path, monkeypatch) -> tuple[ssl.SSLContext, Path]:
    """A server's context that asks for a client's certificate, and a file with such a one."""
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    authority.cert_pem.write_to_path(str(tmp_path / "authority.pem"))
    monkeypatch.setenv("MLFLOW_TRACKING_SERVER_CERT_PATH", str(tmp_path / "authority.pem"))
    client = tmp_path / "client.pem"
    authority.issue_cert("taster").private_key_and_cert_chain_pem.write_to_path(str(client))
    return context, client


@pytest.fixture
def guarded(certificates) -> Iterator[str]:
    server = serve(StandIn, certificates[0])
    yield f"https://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def answering() -> Iterator[Callable[[list[int]], str]]:
    """The address of a server that answers with these, the last one again and again."""
    running = []

    def start(answers: list[int]) -> str:
        class Answers(StandIn):
            statuses = answers

        running.append(serve(Answers))
        return f"http://127.0.0.1:{running[-1].server_address[1]}"

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [429, 500, 503])
def test_one_bad_answer_is_none(answering, status):
    check_server(answering([status, 200]), VERSION)


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (429, "It takes no more requests for now"),
        (503, "its log says what is wrong"),
        (403, "can grant"),
        (401, "Set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD"),
        (404, "correct tracking_uri"),
    ],
)
def test_a_server_that_refuses_all_is_told_from_one_that_is_down(answering, status, advice):
    with pytest.raises(TrackingServerError) as refusal:
        check_server(answering([status]), VERSION)
    assert f"cannot be used: it answered {status}. " in str(refusal.value)
    assert advice in str(refusal.value)
    assert "Start it" not in str(refusal.value)


def test_a_client_certificate(guarded, certificates, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_CLIENT_CERT_PATH", str(certificates[1]))
    check_server(guarded, VERSION)


def test_none(guarded, monkeypatch):
    monkeypatch.setattr("wine_quality.tracking.servers.server_check._RETRIES", 0)
    with pytest.raises(TrackingServerError, match="cannot be used"):
        check_server(guarded, VERSION)


def test_a_plug_in_that_signs_requests(monkeypatch):
    """As packages register one by an entry point for ``MLFLOW_TRACKING_AUTH``."""
    from mlflow.tracking.request_auth import registry
    from mlflow.tracking.request_auth.abstract_request_auth_provider import RequestAuthProvider

    class Signed(StandIn):
        wanted = {HEADER: "cellar"}

    class TastingRoom(RequestAuthProvider):
        def get_name(self):
            return "tasting-room"

        def get_auth(self):
            def sign(request):
                request.headers[HEADER] = "cellar"
                return request

            return sign

    server = serve(Signed)
    uri = f"http://127.0.0.1:{server.server_address[1]}"
    with pytest.raises(TrackingServerError, match="it answered 401"):
        check_server(uri, VERSION)
    known = registry._request_auth_provider_registry
    monkeypatch.setattr(known, "_registry", [*known._registry, TastingRoom()])
    monkeypatch.setenv("MLFLOW_TRACKING_AUTH", "tasting-room")
    check_server(uri, VERSION)
    server.shutdown()
    server.server_close()
