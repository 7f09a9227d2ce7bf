"""A server that is away in mid-run: Dagster tries the step again, and nothing is made twice.

How long MLflow's client tries by itself is set to nothing, where it can be set: 1.26 has no such
variable and takes a minute. The fault matrix has a server that is really gone for a minute.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support.servers import MlflowServer
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

TRIES_OF_1_26 = 6


@pytest.fixture
def proxy(mlflow_version, mlflow_server, monkeypatch) -> Iterator[FaultProxy]:
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    proxy = FaultProxy(mlflow_server(mlflow_version).uri)
    yield proxy
    proxy.stop()


@pytest.fixture
def run(home, tmp_path, mlflow_version, proxy) -> Callable[[], tuple[str, int, str]]:
    """Runs the job through the proxy; its experiment and model, exit code and output."""

    def run() -> tuple[str, int, str]:
        name = f"away-{uuid.uuid4().hex[:8]}"
        config = tmp_path / "run.yaml"
        fields = f"{{registered_model_name: {name}, experiment_name: {name}}}"
        config.write_text(f"resources: {{mlflow: {{config: {fields}}}}}\n")
        arguments = ("run", "--mlflow", mlflow_version.key, "--tracking-uri", proxy.uri)
        done = run_command(*arguments, "--config", str(config), timeout=300)
        return name, done.returncode, done.stdout + done.stderr

    return run


def require_one_of_each(server: MlflowServer, name: str) -> None:
    assert server.statuses(name) == ["FINISHED"]
    assert len(server.versions(name)) == 1


# What is asked when the MLflow run is opened, and in a step. 1.26 sets tags when it opens one.
@pytest.mark.parametrize(
    ("mlflow_version", "request_", "again"),
    [
        ("3", r"/runs/create", "The MLflow run is not open"),
        ("3", r"/runs/log-batch", "elasticnet_model, once more …"),
        ("2.1.1", r"/runs/log-batch", "elasticnet_model, once more …"),
        ("1.26", r"/runs/log-batch", "The MLflow run is not open"),
        ("1.26", r"/registered-models/create", "registered_model, once more …"),
    ],
    indirect=["mlflow_version"],
)
def test_it_is_tried_again(mlflow_version, mlflow_server, proxy, run, request_, again):
    times = TRIES_OF_1_26 if mlflow_version.key == "1.26" else 1
    proxy.refuse(request_, times=times, answer=(503, b"away"))
    name, code, output = run()
    assert code == 0, output
    assert "it answered 503" in output
    assert output.count(again) == 1
    require_one_of_each(mlflow_server(mlflow_version), name)


@pytest.mark.parametrize("mlflow_version", ["3", "2.1.1"], indirect=True)
def test_a_version_whose_answer_was_lost_is_no_second_one(
    mlflow_version, mlflow_server, proxy, run
):
    proxy.lose_answer(r"POST .*/model-versions/create")
    name, code, output = run()
    assert code == 0, output
    assert proxy.lost == 1
    assert output.count("registered_model, once more …") == 1
    require_one_of_each(mlflow_server(mlflow_version), name)


def test_what_the_server_refuses_is_not_tried_again(mlflow_version, proxy, run):
    proxy.refuse(r"/runs/log-batch")
    _, code, output = run()
    assert code == 1
    assert "once more" not in output
