"""A real SMTP server with TLS and a login, a stand-in for Slack's API, and a host that hangs."""

from __future__ import annotations

import json
import socket
import ssl
import threading
from email import message_from_bytes, policy
from email.message import EmailMessage
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword

from wine_quality_tests.support.servers import free_port

USER, PASSWORD = "wine@example.org", "canary password"
SLACK_TOKEN = "xoxb-canary-token"


class MailServer:
    """Keeps what it gets in ``letters``; its certificate is signed by the authority in ``ca``."""

    def __init__(self, folder: Path, security: str) -> None:
        self.letters: list[EmailMessage] = []
        self.attempts = 0
        self.refusal: str | None = None
        authority = trustme.CA()
        self.ca = folder / "ca.pem"
        authority.cert_pem.write_to_path(self.ca)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert("127.0.0.1").configure_cert(context)
        self.port = free_port()
        self.security = security
        tls: dict[str, Any] = (
            {"ssl_context": context, "auth_require_tls": False}
            if security == "ssl"
            else {"tls_context": context, "require_starttls": True}
        )
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.port,
            authenticator=self._login,
            auth_required=True,
            **tls,
        )
        self._controller.start()

    def _login(self, _server, _session, _envelope, _mechanism, given: LoginPassword) -> AuthResult:
        good = (given.login, given.password) == (USER.encode(), PASSWORD.encode())
        return AuthResult(success=good, handled=False)

    async def handle_DATA(self, _server, _session, envelope: Envelope) -> str:
        self.attempts += 1
        if self.refusal:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        letter = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(letter, EmailMessage)
        letter["X-Recipients"] = ",".join(envelope.rcpt_tos)
        self.letters.append(letter)
        return "250 taken"

    def variables(self, **more: str) -> dict[str, str]:
        """The environment of a code location that sends its mail here."""
        return {
            "WINE_QUALITY_NOTIFY_EMAIL_HOST": "127.0.0.1",
            "WINE_QUALITY_NOTIFY_EMAIL_PORT": str(self.port),
            "WINE_QUALITY_NOTIFY_EMAIL_SECURITY": self.security,
            "WINE_QUALITY_NOTIFY_EMAIL_PASSWORD": PASSWORD,
            "WINE_QUALITY_NOTIFY_EMAIL_FROM": USER,
            "WINE_QUALITY_NOTIFY_EMAIL_TO": "ann@example.org, bob@example.org",
            "SSL_CERT_FILE": str(self.ca),
            **more,
        }

    def stop(self) -> None:
        self._controller.stop()


class SlackStandIn:
    """Answers ``chat.postMessage`` as Slack does; ``answers`` are given first, one each."""

    def __init__(self) -> None:
        self.messages: list[dict[str, Any]] = []
        self.requests = 0
        self.answers: list[tuple[int, str]] = []
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _slack(self))
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/api/"

    def variables(self) -> dict[str, str]:
        return {
            "WINE_QUALITY_NOTIFY_SLACK_URL": self.url,
            "WINE_QUALITY_NOTIFY_SLACK_TOKEN": SLACK_TOKEN,
            "WINE_QUALITY_NOTIFY_SLACK_CHANNEL": "#wine",
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


def _slack(slack: SlackStandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

        def do_POST(self) -> None:
            slack.requests += 1
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.path != "/api/chat.postMessage":
                return self.answer(404, "{}")
            if slack.answers:
                return self.answer(*slack.answers.pop(0))
            if self.headers["Authorization"] != f"Bearer {SLACK_TOKEN}":
                return self.answer(200, '{"ok": false, "error": "invalid_auth"}')
            slack.messages.append(json.loads(body))
            return self.answer(200, '{"ok": true, "channel": "C1", "ts": "1.2"}')

        def answer(self, status: int, text: str) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text.encode())

    return Handler


class HangingHost:
    """Takes connections and never says a word; ``connections`` are kept open."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.connections: list[socket.socket] = []
        threading.Thread(target=self._take, daemon=True).start()

    def _take(self) -> None:
        try:
            while True:
                self.connections.append(self._listener.accept()[0])
        except OSError:
            pass  # stopped

    def stop(self) -> None:
        self._listener.close()
        for connection in self.connections:
            connection.close()
