"""Fixtures: a home of its own for each test, real servers of each version."""

from __future__ import annotations

import compileall
import multiprocessing.util
import os
import signal
import socketserver
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion
from wine_quality.paths import PROJECT_ROOT
from wine_quality.policy.settings import EVERYTHING
from wine_quality.tracking.runs.run_tags import git_commit
from wine_quality_tests.faults import fault_matrix
from wine_quality_tests.support import (
    longest_first,
    session_end,
    warm_commands,
    warm_workers,
)
from wine_quality_tests.support.memory_folder import make_memory_folder, remove_memory_folder
from wine_quality_tests.support.model_server import ModelServer
from wine_quality_tests.support.postgres import PostgresServer
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.web_faults import WINES

_MEMORY_FOLDER = pytest.StashKey[Path]()


@pytest.hookimpl(tryfirst=True)
def pytest_configure(config: pytest.Config) -> None:
    """All that tests start ends with them.

    Temporary files are in memory: for pytest and, as they inherit $TMPDIR, for xdist's workers.
    """
    if not hasattr(config, "workerinput") and hasattr(os, "pidfd_open"):
        session_end.watch(os.getpid())
    if (folder := make_memory_folder()) is not None:
        config.stash[_MEMORY_FOLDER] = folder
    # Ignored where a script started the tests with "&": all that they start would ignore it.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # Python's servers write a head and then a body, which waits 40 ms for the other side's answer.
    socketserver.StreamRequestHandler.disable_nagle_algorithm = True
    # A second thread of OpenBLAS, and Java's best compiler, take a core in which other tests run.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("SPARK_SUBMIT_OPTS", "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC")
    if not hasattr(config, "workerinput"):
        if sys.dont_write_bytecode:  # by $PYTHONDONTWRITEBYTECODE: each process would compile it
            compileall.compile_dir(PROJECT_ROOT / "wine_quality", quiet=2)
        warm_commands.share_warm_processes()
    # syrupy's: where tests are only listed, no snapshot is used.
    if config.option.collectonly:
        config.option.disable_unused_snapshots = True


def pytest_unconfigure(config: pytest.Config) -> None:
    if (folder := config.stash.get(_MEMORY_FOLDER, None)) is not None:
        # Of multiprocessing's own files, which it removes when it ends.
        multiprocessing.util._exit_function()  # type: ignore[attr-defined]
        remove_memory_folder(folder)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """The fault matrix of this session, printed, and kept in $WINE_QUALITY_FAULTS_RESULTS."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    longest_first.note(reports, terminalreporter.config)
    outcomes = fault_matrix.outcomes_of(reports)
    if not outcomes:
        return
    terminalreporter.section("fault matrix")
    terminalreporter.write_line(fault_matrix.table(outcomes))
    place = os.environ.get("WINE_QUALITY_FAULTS_RESULTS")
    if place:
        fault_matrix.keep(outcomes, Path(place), git_commit()[:12])


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


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    """A running PostgreSQL; each test makes a database of its own in it.

    ``WINE_QUALITY_TEST_POSTGRES_BIN=…/bin`` names another than the wheel's: 15, 16 or 17, say.
    """
    other = os.environ.get("WINE_QUALITY_TEST_POSTGRES_BIN")
    server = PostgresServer(Path(other).parent if other else None)
    yield server
    server.remove()


@pytest.fixture(scope="session")
def model_server(tmp_path_factory) -> Iterator[ModelServer]:
    """A model server with low limits, for whoever sends it what it should refuse."""
    limits = {
        "WINE_QUALITY_SERVE_MAX_ROWS": "1000",
        "WINE_QUALITY_SERVE_MAX_BYTES": str(1 << 20),
        "WINE_QUALITY_SERVE_MAX_SECONDS": "2",
    }
    with ModelServer(tmp_path_factory.mktemp("model-server"), **limits) as server:
        yield server


@pytest.fixture(autouse=True)
def _tracking_uri_of_each_test() -> Iterator[None]:
    """MLflow 3 writes the URI it is given into the environment, for child processes to find."""
    before = os.environ.get("MLFLOW_TRACKING_URI")
    yield
    if before is None:
        os.environ.pop("MLFLOW_TRACKING_URI", None)
    else:
        os.environ["MLFLOW_TRACKING_URI"] = before


@pytest.fixture(autouse=True)
def _whoever_tests_may_read_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the command line trusts its caller; ``test_allowed`` takes it away again."""
    for name, everything in EVERYTHING.items():
        monkeypatch.setenv(name, everything)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty $WINE_QUALITY_HOME."""
    folder = tmp_path / "home"
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    monkeypatch.delenv("DAGSTER_HOME", raising=False)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    monkeypatch.delenv("WINE_QUALITY_METRICS_URL", raising=False)
    return folder


@pytest.fixture
def forked_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs in the tests' own process have their processes of other versions forked, too."""
    monkeypatch.setattr(subprocess, "Popen", subprocess.Popen)
    monkeypatch.setattr(os, "execve", os.execve)
    warm_workers.install(warm_commands.sockets(), warm_commands.owner())


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """moto's S3 server, over HTTP; its bucket ``wines`` holds the file."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("AWS_ACCESS_KEY_ID", "key")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        client = boto3.client("s3")
        client.create_bucket(Bucket="wines")
        client.put_object(Bucket="wines", Key="red/wines.csv", Body=WINES)
        client.put_object(Bucket="wines", Key="empty.csv", Body=b"")
        client.put_object(Bucket="wines", Key="large.csv", Body=b"7" * ((1 << 20) + 1))
        yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def tick(tmp_path):
    """One tick of the sensor over a folder, as the daemon evaluates it."""
    from dagster import DagsterInstance, build_sensor_context

    from wine_quality.definitions import defs
    from wine_quality.defs.data.new_file_sensor import WatchedSource, watching_sensor

    with DagsterInstance.ephemeral() as instance:

        def evaluate(cursor: str | None = None, **fields):
            settings = {"place": str(tmp_path), "settle_seconds": 0, **fields}
            context = build_sensor_context(
                instance=instance, cursor=cursor, repository_def=defs.get_repository_def()
            )
            return watching_sensor(WatchedSource(**settings)).evaluate_tick(context)

        yield evaluate


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    longest_first.sort(items, config)
