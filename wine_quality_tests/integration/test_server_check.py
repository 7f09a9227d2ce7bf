"""The check before a run, by the HTTP layer of each version, against its real server."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from wine_quality.environments.mlflow_versions import MlflowVersion
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.warm_commands import run_python

pytestmark = pytest.mark.slow

CHECK = """
import sys
from wine_quality.environments.mlflow_versions import get_version
from wine_quality.tracking.servers.server_check import TrackingServerError, check_server
try:
    check_server(sys.argv[1], get_version(sys.argv[2]))
except TrackingServerError as error:
    sys.exit(str(error))
"""


@pytest.fixture
def proxy(mlflow_version, mlflow_server) -> Iterator[FaultProxy]:
    proxy = FaultProxy(mlflow_server(mlflow_version).uri)
    yield proxy
    proxy.stop()


def check(version: MlflowVersion, uri: str) -> str:
    """Empty, or why the server is refused."""
    done = run_python(
        *(version.python, "-W", "ignore", "-c", CHECK, uri, version.key),
        env=version.process_variables(),
    )
    assert "Traceback" not in done.stderr
    return done.stderr.strip().splitlines()[-1] if done.returncode else ""


def test_one_bad_answer_is_none(mlflow_version, proxy):
    proxy.refuse("/version", times=1, answer=(429, b"not now"))
    assert check(mlflow_version, proxy.uri) == ""
    assert [path for _, path in proxy.requests].count("/version") == 2


def test_a_gateway_that_lets_only_mlflows_calls_through(mlflow_version, proxy):
    """The server's version is not known then, and MLflow can use it."""
    proxy.refuse(r"^/(version|health)", answer=(403, b"not here"))
    assert check(mlflow_version, proxy.uri) == ""
