"""The parts of `make up`: its ports, its lock, the MLflow UIs that start when they are opened."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import requests

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, get_version
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.dagster import webserver_ready
from wine_quality.up.http_head import MalformedRequestError, RequestHead
from wine_quality.up.lock import AlreadyUpError, only_one
from wine_quality.up.mlflow_ui import IDLE_VARIABLE
from wine_quality.up.mlflow_uis import MlflowUis
from wine_quality.up.ports import PortTakenError, listen, port_of
from wine_quality_tests.support.servers import (
    await_condition,
    dying_with_us,
    free_port,
    processes_of,
)


def up(*arguments: str, home: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wine_quality", "up", *arguments],
        capture_output=True,
        text=True,
        cwd=PROJECT_ROOT,
        env={**os.environ, "WINE_QUALITY_HOME": str(home)},
        timeout=60,
    )


@pytest.fixture
def taken():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield listening.getsockname()[1]


def test_a_port_asked_for_is_refused_when_it_is_taken(taken):
    with pytest.raises(PortTakenError, match=f"Dagster UI cannot have port {taken}, .* in use"):
        listen(taken, given=True, what="Dagster UI")
    with pytest.raises(PortTakenError, match="99999"):
        listen(99999, given=True, what="Dagster UI")


def test_else_a_free_one_is_taken_and_named(taken):
    listening, text = listen(taken, given=False, what="Dagster UI")
    with listening:
        assert text == f"Port {taken} is taken: the Dagster UI is on {port_of(listening)}."
        assert port_of(listening) != taken


def test_a_port_that_browsers_would_find_somebody_else_on_is_taken():
    try:
        other = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError:
        pytest.skip("no IPv6 on this machine")
    with other, pytest.raises(PortTakenError):
        listen(other.getsockname()[1], given=True, what="Dagster UI")


@pytest.mark.parametrize("option", ["--port", "--mlflow-port"])
def test_the_command_ends_with_one_sentence(tmp_path, taken, option):
    done = up(option, str(taken), home=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("error: ") and f"port {taken}" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_second_one_over_the_same_home_is_refused(tmp_path):
    with only_one([tmp_path]) as note:
        note("http://localhost:5055")
        done = up("--port", str(free_port()), home=tmp_path)
    assert done.returncode == 1
    assert "runs over" in done.stderr and "http://localhost:5055" in done.stderr
    assert done.stderr.count("\n") == 1


def test_so_is_one_that_shares_only_the_dagster_home(tmp_path):
    with only_one([tmp_path / "one", tmp_path / "dagster"]):
        with pytest.raises(AlreadyUpError), only_one([tmp_path / "two", tmp_path / "dagster"]):
            pass
        with only_one([tmp_path / "two"]):
            pass


def test_what_a_killed_one_leaves_does_not_matter(tmp_path):
    (tmp_path / "up.lock").write_text("http://localhost:5055")
    with only_one([tmp_path]) as note:
        note("http://localhost:5056")
        assert (tmp_path / "up.lock").read_text() == "http://localhost:5056"


@pytest.mark.parametrize(
    "head",
    [
        b"GET http://localhost/ HTTP/1.1",
        b"GET / HTTP/2.0",
        b"GET /",
        b"GET / HTTP/1.1\r\nHost localhost",
        b"GET / HTTP/1.1\r\nHost : localhost",
        b"GET / HTTP/1.1\r\nHost: localhost\r\n Origin: x",
        b"GET / HTTP/1.1\r\nHost: localhost\nOrigin: x",
    ],
)
def test_what_two_might_read_in_two_ways_is_refused(head):
    with pytest.raises(MalformedRequestError):
        RequestHead.parse(head + b"\r\n\r\n")


def test_the_head_that_goes_on():
    head = RequestHead.parse(
        b"POST /a?b HTTP/1.1\r\nHost: wine\r\nOrigin: http://wine\r\nConnection: keep-alive\r\n"
        b"Content-Length: 2\r\n\r\n"
    )
    assert head.path == "/a"
    assert head.forwarded("localhost:1") == (
        b"POST /a?b HTTP/1.1\r\nHost: localhost:1\r\nConnection: close\r\nContent-Length: 2\r\n\r\n"
    )


@asynccontextmanager
async def _serving() -> AsyncIterator[tuple[MlflowUis, Callable[[str], str]]]:
    """The UIs of all versions, and the function that names the URL of one."""
    # A short path, as sockets need one.
    sockets = tempfile.TemporaryDirectory()
    listening = {key: socket.create_server(("127.0.0.1", 0)) for key in MLFLOW_VERSIONS}
    uis = MlflowUis(listening, Path(sockets.name), "http://localhost:5055")
    serving = asyncio.ensure_future(uis.serve(lambda: None))
    try:
        yield uis, uis.urls.__getitem__
    finally:
        serving.cancel()
        await uis.stop()
        sockets.cleanup()


def test_a_page_of_another_site_starts_no_server(home):
    async def ask() -> None:
        async with _serving() as (uis, url):
            for headers in ({"Host": "evil.example"}, {"Origin": "https://evil.example"}):
                answer = await asyncio.to_thread(requests.get, url("2.1.1"), headers=headers)
                assert answer.status_code == 403, answer.text
            assert uis.processes() == []

    asyncio.run(ask())


def test_an_mlflow_page_leads_back_to_dagster(home):
    async def ask() -> None:
        async with _serving() as (uis, url):
            back = f"{url('3')}/dagster/runs/1?x=y"
            answer = await asyncio.to_thread(requests.get, back, allow_redirects=False)
            assert answer.headers["location"] == "http://localhost:5055/runs/1?x=y"
            assert uis.processes() == []

    asyncio.run(ask())


def test_a_version_that_is_not_built_is_named(home, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_ENVIRONMENTS", str(home / "none"))

    async def ask() -> None:
        async with _serving() as (_, url):
            answer = await asyncio.to_thread(requests.get, url("1.26"))
            assert answer.status_code == 503 and "make env MLFLOW=1.26" in answer.text

    asyncio.run(ask())


@pytest.mark.slow
def test_a_server_starts_when_asked_and_ends_when_idle(home, mlflow_version, monkeypatch):
    monkeypatch.setenv(IDLE_VARIABLE, "2")
    default = {"experiment_id": 0}

    async def ask() -> None:
        async with _serving() as (uis, url):
            place = f"{url(mlflow_version.key)}/ajax-api/2.0/mlflow/experiments/get"
            for _ in range(2):
                assert uis.processes() == []
                # Both at once, of which one server comes.
                asked = [asyncio.to_thread(requests.get, place, params=default) for _ in range(2)]
                for answer in await asyncio.gather(*asked):
                    assert answer.json()["experiment"]["name"] == "Default"
                [process] = uis.processes()
                while uis.processes():
                    await asyncio.sleep(0.05)
                while not process.has_ended():
                    await asyncio.sleep(0.05)
            assert (home / f"mlflow-{mlflow_version.key}" / "mlflow.db").stat().st_size

    asyncio.run(asyncio.wait_for(ask(), 150))


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_one_beside_a_run_in_an_empty_home(tmp_path):
    """Both make the stores; the run is then seen in the UI, and nothing outlives a kill."""
    home = tmp_path / "home"
    variables = {**os.environ, "WINE_QUALITY_HOME": str(home)}
    for name in ("MLFLOW_TRACKING_URI", "DAGSTER_HOME"):
        variables.pop(name, None)
    port, mlflow_port = free_port(), free_port()
    command = [sys.executable, "-m", "wine_quality"]
    ports = ["--port", str(port), "--mlflow-port", str(mlflow_port)]
    log = tmp_path / "log"
    common = {"env": variables, "cwd": PROJECT_ROOT, "stderr": subprocess.STDOUT}
    started = subprocess.Popen(
        dying_with_us(*command, "up", *ports), stdout=log.open("wb"), **common
    )
    try:
        run = subprocess.Popen(dying_with_us(*command, "run"), stdout=subprocess.PIPE, **common)
        # It makes the store of the server as the run makes that of its client.
        url = f"http://localhost:{mlflow_port}/ajax-api/2.0/mlflow/experiments/search?max_results=9"
        await_condition(lambda: _answers(url), "MLflow's UI", 120)
        output, _ = run.communicate(timeout=200)
        assert run.returncode == 0, output.decode()
        await_condition(lambda: "Ready after" in log.read_text(), "make up", 120)
        names = {found["name"] for found in requests.get(url).json()["experiments"]}
        assert "wine_quality_experiment1" in names
        assert f"Dagster UI: http://localhost:{port}\n" in log.read_text()
        _kill_code_server(home, f"http://localhost:{port}")
        # As a machine's out-of-memory killer does.
        started.send_signal(signal.SIGKILL)
        started.wait(20)
        await_condition(lambda: not _answers(url) and not processes_of(home), "the end", 40)
    finally:
        started.kill()
        started.wait(20)


def _kill_code_server(home: Path, url: str) -> None:
    """It is started again, and the UI shows its code as before."""

    def pid() -> int:
        state = json.loads((home / "up" / "state.json").read_text())
        return state["services"]["Dagster's code server"]["pid"]

    killed = pid()
    os.killpg(killed, signal.SIGKILL)
    await_condition(lambda: pid() != killed, "another code server", 20)
    await_condition(webserver_ready(url), "its code", 60)
    await_condition(lambda: _reload(url) == "RepositoryLocation", "a reload", 60)


def _reload(url: str) -> str:
    """As the UI's button does."""
    query = """mutation { reloadRepositoryLocation(repositoryLocationName: "ml_repository") {
        ... on WorkspaceLocationEntry { locationOrLoadError { __typename } } } }"""
    answer = requests.post(f"{url}/graphql", json={"query": query}, timeout=60).json()
    entry = answer["data"]["reloadRepositoryLocation"]
    return (entry.get("locationOrLoadError") or {}).get("__typename", "")


def _answers(url: str) -> bool:
    try:
        return requests.get(url, timeout=100).ok
    except requests.RequestException:
        return False


def test_the_first_version_has_the_port_asked_for():
    assert set(MlflowUis.others("2.1.1")) == MLFLOW_VERSIONS.keys() - {"2.1.1"}
    assert MlflowUis.others("2.1.1")[0] == "3"
    assert get_version("3").key not in MlflowUis.others("3")
