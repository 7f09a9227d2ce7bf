"""The proxy's image, built and started by the engine here; `make containers` does the rest."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator

import pytest
import requests

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.support.compose import engine
from wine_quality_tests.support.images import PROXY, build, inspect, is_here
from wine_quality_tests.support.servers import await_condition, free_port

pytestmark = pytest.mark.slow

TAG = f"localhost/wine-quality-proxy:test-{os.getpid()}"


@pytest.fixture(scope="module")
def here() -> Iterator[str]:
    """The engine, which has the image; nothing is pulled for it."""
    name = engine()
    if name is None:
        pytest.skip("no container engine answers here")
    base = PROXY.base()[1]
    if not is_here(name, base):
        pytest.skip(f"{name} has no image {base}, which the proxy's is built on")
    tried = subprocess.run([name, "run", "--rm", base, "true"], capture_output=True, timeout=120)
    if tried.returncode != 0:
        pytest.skip(f"{name} starts no container here: {tried.stderr.decode()[-200:].strip()}")
    build(name, PROXY, PROJECT_ROOT, TAG)
    yield name
    subprocess.run([name, "rmi", "-f", TAG], capture_output=True, timeout=60)


@pytest.fixture
def proxy(here) -> Iterator[str]:
    """Its address, in a container as MLOps.yml hardens it."""
    ports = {name: str(free_port()) for name in ("DAGSTER_PORT", *mlflow_ports())}
    settings = {
        "BIND_ADDRESS": "127.0.0.1",
        "PROXY_LISTEN": "0.0.0.0",
        "PROXY_HOSTS": "localhost,127.0.0.1",
        "PROXY_TLS": "off",
        "PROXY_USER": "wine",
        "PROXY_PASSWORD": "not-the-demos",
        "PROXY_DAGSTER": "127.0.0.1:1",
        **{name.replace("MLFLOW", "PROXY_MLFLOW")[:-5]: "127.0.0.1:1" for name in mlflow_ports()},
        **ports,
    }
    command = [here, "run", "-d", "--rm", "--read-only", "--cap-drop=ALL", "--init"]
    command += ["--security-opt=no-new-privileges", "--tmpfs=/tmp", "--user=10001:10001"]
    port = ports["DAGSTER_PORT"]
    command += ["--publish", f"127.0.0.1:{port}:{port}"]
    for name, value in settings.items():
        command += ["--env", f"{name}={value}"]
    started = subprocess.run([*command, TAG], capture_output=True, text=True, timeout=120)
    assert started.returncode == 0, started.stderr
    yield f"http://127.0.0.1:{port}"
    subprocess.run([here, "rm", "-f", started.stdout.strip()], capture_output=True, timeout=60)


def mlflow_ports() -> list[str]:
    return [f"MLFLOW_{version.underscored}_PORT" for version in MLFLOW_VERSIONS.values()]


def test_the_images_entry_point_asks_for_a_password(here, proxy):
    await_condition(lambda: answers(proxy), "the proxy in its container", 60)
    assert requests.get(proxy, timeout=10).status_code == 401
    assert requests.get(proxy, auth=("wine", "wine"), timeout=10).status_code == 401
    # Nothing is behind it here.
    assert requests.get(proxy, auth=("wine", "not-the-demos"), timeout=10).status_code == 502
    config = inspect(here, TAG)["Config"]
    assert config["User"] == "10001:10001"
    assert not [one for one in config["Env"] if "PASSWORD" in one]


def answers(address: str) -> bool:
    try:
        requests.get(address, timeout=5)
    except requests.RequestException:
        return False
    return True
