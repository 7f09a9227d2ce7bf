"""Fixtures: a home of its own for each test, real servers of each version."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from wine_quality.environments.versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality_tests.servers import MlflowServer


@pytest.fixture(params=list(MLFLOW_VERSIONS))
def mlflow_version(request: pytest.FixtureRequest) -> MlflowVersion:
    version = MLFLOW_VERSIONS[request.param]
    if not version.python.exists():
        pytest.skip(f"no environment of MLflow {version.key}: no Python {version.pythons} here")
    return version


@pytest.fixture(scope="session")
def mlflow_server(tmp_path_factory) -> Iterator[Callable[[MlflowVersion], MlflowServer]]:
    """The running server of a version, started when first asked for."""
    running: dict[str, MlflowServer] = {}

    def get(version: MlflowVersion) -> MlflowServer:
        if version.key not in running:
            folder = tmp_path_factory.mktemp(f"mlflow-{version.key}")
            running[version.key] = MlflowServer(version, folder)
        return running[version.key]

    yield get
    for server in running.values():
        server.stop()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $WINE_QUALITY_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    return folder
