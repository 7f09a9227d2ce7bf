"""Addresses that parsers read differently: refused, and no credentials sent, by any client."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality.policy.settings import EVERYTHING
from wine_quality.sources.location import (
    LocationError,
    check_host_name,
    parse_location,
    parse_server,
    redacted,
)

ODD = [
    "http://evil:80\\@mlflow:5000",
    "http://evil\\@mlflow:5000",
    "http://evil@mlflow@evil",
    "http://mlflow:5000@evil:80@x",
    "http://evil#@mlflow:5000\\",
    "http://evil /@mlflow",
    "http://evil\t.mlflow",
    "http://mlf\nlow:5000",
    "http://mlflow:5000\r\nHost: evil",
    "http://mlflow\u3000:5000",
    "http://mlflow\u200b",
    "http://mlflow%2eevil:5000",
    "http://mlflow%00.evil",
    "http://\u24d4vil",
    "http://evil\u2044@mlflow",
    "http://[::1",
    "http://[evil]",
    "http://[fe80::1%25eth0]",
    "http://mlflow:port",
    "http://mlflow:99999",
    "http://mlflow:80:90",
    "http://:5000",
    "http:///evil",
    "http:evil",
    "https:/evil",
    "http://",
    "simplecache::http://evil",
    "s3://bucket/a/../../other/b",
    "s3://user@bucket/key",
]


@pytest.mark.parametrize("text", ODD)
def test_what_could_be_read_differently_is_refused(text):
    with pytest.raises(LocationError) as refused:
        parse_server(text, ("http", "https", "s3"))
    assert str(refused.value).isprintable()


CLEAN = [
    "http://mlflow:5000",
    "https://MLflow.example.org/prefix/",
    "http://user:p%40ss@mlflow:5000/x?a=b@c#d@e",
    "http://user@mlflow",
    "http://:pw@mlflow/",
    "http://[::1]:5000/x",
    "http://127.0.0.1:80//x",
    "http://0x7f.1/",
    "https://wine_quality-1.svc.cluster.local.:8443/a@b/c",
    "https://a?b@c:80/",
    "https://a#b@c:80/",
]
_READ = """
import json, sys
from urllib.parse import urlsplit
import requests
from urllib3.util import parse_url
from wine_quality.sources.location import parse_location
for url in json.load(sys.stdin):
    ours, split, theirs = parse_location(url), urlsplit(url), parse_url(url)
    sent = parse_url(requests.Request("GET", url).prepare().url)
    want = (ours.scheme, ours.host, ours.port)
    for one in (theirs, sent):
        assert (one.scheme, one.host.strip("[]").lower(), one.port) == want, (url, one)
    assert (split.scheme, split.hostname, split.port) == want, (url, split)
"""


def test_what_is_accepted_every_parser_reads_alike(mlflow_version: MlflowVersion):
    """Those of the environment whose client connects."""
    subprocess.run(
        [str(mlflow_version.python), "-c", _READ],
        input=json.dumps(CLEAN),
        text=True,
        check=True,
        cwd=PROJECT_ROOT,
        timeout=120,
    )


def test_paths_and_keys_are_taken_as_they_stand():
    assert parse_location("/wines/red wine\n#1?.csv").path == "/wines/red wine\n#1?.csv"
    found = parse_location("s3://wines/Rot wein/übersee@home #1?.csv")
    assert (found.host, found.path) == ("wines", "Rot wein/übersee@home #1?.csv")
    assert parse_location("sqlite:////my home/mlflow.db").path == "//my home/mlflow.db"
    assert parse_location("file:///red wine.csv").path == "/red wine.csv"
    assert parse_server("https://A.b:443/x/").server == parse_server("https://a.B./x").server


@pytest.mark.parametrize(
    "text",
    ["http://u:hunter2@h/x?token=hunter2", "http://u:hunter2\\@h/", "http://u:hun/hunter2@h"]
    + ["http://u:hunter2@h@h", "//u:hunter2@h", "postgresql://u:hunter2@[h"],
)
def test_credentials_are_shown_nowhere(text):
    assert "hunter2" not in redacted(text)
    try:
        assert "hunter2" not in repr(parse_server(text))
    except LocationError as error:
        assert "hunter2" not in str(error)


def test_hosts_that_stand_alone():
    for host in ("mail.example.org", "10.0.0.1", "::1", "mail_1"):
        assert check_host_name(host) == host
    for host in ("", "-oProxyCommand=x", "a b", "a/b", "a@b", "h\\@x", "\u24d4vil", "h\n"):
        with pytest.raises(LocationError):
            check_host_name(host)


class Canary:
    """A web server that must not be asked; ``headers`` are those of who did."""

    def __init__(self) -> None:
        asked: list[dict[str, str]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append(dict(self.headers))
                self.send_response(404)
                self.end_headers()

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        self.headers = asked
        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    server = Canary()
    yield server
    server.stop()


_ASK = """
import sys
from wine_quality.tracking.resource import MlflowTracker, VersionKey
from wine_quality.tracking.servers.addresses import ForbiddenServerError
key, uri = sys.argv[1:]
resource = MlflowTracker(version=VersionKey(key), tracking_uri=uri)
try:
    resource.connect(print)
except ForbiddenServerError as error:
    print(error)
else:
    raise SystemExit("it was connected to")
"""
# What the client does when nobody stands before it: the attack is one on each version.
_UNGUARDED = """
import sys
from mlflow.tracking import MlflowClient
try:
    MlflowClient(sys.argv[2]).get_experiment_by_name("x")
except Exception:
    pass
"""


@pytest.mark.slow
@pytest.mark.parametrize("allowed", ["", "*"], ids=["launchpad", "command line"])
def test_no_client_sends_credentials_to_a_host_that_only_it_reads(
    mlflow_version: MlflowVersion, canary: Canary, home, monkeypatch, allowed
):
    for name in EVERYTHING:
        monkeypatch.setenv(name, allowed)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_TRACKING_USERNAME", "user")
    monkeypatch.setenv("MLFLOW_TRACKING_PASSWORD", "hunter2")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    evil = f"http://127.0.0.1:{canary.port}\\@127.0.0.1:9"

    def run(code: str) -> str:
        done = subprocess.run(
            [str(mlflow_version.python), "-W", "ignore", "-c", code, mlflow_version.key, evil],
            capture_output=True,
            text=True,
            cwd=PROJECT_ROOT,
            env=mlflow_version.process_variables(),
            timeout=120,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    output = run(_ASK)
    assert "resources.mlflow.config.tracking_uri" in output and "backslash" in output
    assert "hunter2" not in output and not canary.headers
    if sys.platform == "linux" and not allowed:
        run(_UNGUARDED)
        assert canary.headers and "Authorization" in canary.headers[0]
