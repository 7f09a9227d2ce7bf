"""Retries of steps, and Dagster's multi-process executor: one MLflow run, one model version."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.support import other_jobs

pytestmark = pytest.mark.slow

AFTER_REGISTRATION = r"/model-versions/update"


@pytest.fixture
def instance(home, monkeypatch) -> Iterator[Any]:
    from dagster import DagsterInstance

    folder = home / "dagster"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with DagsterInstance.get() as instance:
        yield instance


def config(key: str, uri: str, name: str) -> dict[str, Any]:
    fields = {
        "version": key,
        "tracking_uri": uri,
        "experiment_name": name,
        "registered_model_name": name,
    }
    return {"resources": {"mlflow": {"config": fields}}}


@pytest.mark.usefixtures("forked_workers")
def test_a_retried_registration_makes_one_version(instance, mlflow_version, mlflow_server):
    from dagster import DagsterEventType, execute_job, reconstructable

    server = mlflow_server(mlflow_version)
    proxy = FaultProxy(server.uri)
    # The version is made, and the step fails after that.
    proxy.refuse(AFTER_REGISTRATION, times=1)
    name = f"retried-{uuid.uuid4().hex[:8]}"
    try:
        # As `dagster job execute` does: to give the values, the resources are made once more.
        with execute_job(
            reconstructable(other_jobs.retrying),
            instance,
            run_config=config(mlflow_version.key, proxy.uri, name),
        ) as result:
            assert result.success
    finally:
        proxy.stop()
    message = [entry.user_message for entry in instance.all_logs(result.run_id)]
    assert len([line for line in message if line.endswith("ended as FINISHED.")]) == 1
    logs = instance.all_logs(result.run_id, of_type=DagsterEventType.STEP_RESTARTED)
    assert [entry.step_key for entry in logs] == ["registered_model"]
    assert server.statuses(name) == ["FINISHED"]
    [version] = server.versions(name)
    assert {tag["key"] for tag in version["tags"]} >= {"dagster.run_id", "data_sha256"}


@pytest.mark.parametrize("refused", [None, AFTER_REGISTRATION])
def test_a_process_per_step_shares_one_mlflow_run(instance, mlflow_server, refused):
    from dagster import execute_job, reconstructable

    server = mlflow_server(MLFLOW_VERSIONS["3"])
    proxy = FaultProxy(server.uri)
    proxy.refuse(refused)
    name = f"processes-{uuid.uuid4().hex[:8]}"
    try:
        result = execute_job(
            reconstructable(other_jobs.process_per_step),
            instance,
            run_config=config("3", proxy.uri, name),
        )
    finally:
        proxy.stop()
    assert result.success == (refused is None)
    assert server.statuses(name) == ["FINISHED" if result.success else "FAILED"]
    assert len(server.versions(name)) == 1


def test_a_process_per_step_says_what_to_use_for_another_version(instance, mlflow_server):
    """Dagster starts those processes with its own Python."""
    from dagster import DagsterEventType, execute_job, reconstructable

    server, name = mlflow_server(MLFLOW_VERSIONS["3"]), f"other-{uuid.uuid4().hex[:8]}"
    result = execute_job(
        reconstructable(other_jobs.process_per_step),
        instance,
        run_config=config("2.1.1", server.uri, name),
    )
    assert not result.success
    failures = instance.all_logs(result.run_id, of_type=DagsterEventType.STEP_FAILURE)
    text = " ".join(str(entry.dagster_event.event_specific_data.error) for entry in failures)
    assert "this run is to use MLflow 2.1.1, but its process holds MLflow 3." in text
    assert "mlflow_environment_executor does, Dagster's multiprocess and Kubernetes" in text


def test_a_reexecution_by_the_python_api_goes_on_with_the_mlflow_run(instance, mlflow_server):
    from dagster import ReexecutionOptions, execute_job, reconstructable

    from wine_quality.cli.jobs import main_job

    server = mlflow_server(MLFLOW_VERSIONS["3"])
    proxy = FaultProxy(server.uri)
    proxy.refuse(AFTER_REGISTRATION)
    name = f"again-{uuid.uuid4().hex[:8]}"
    job, given = reconstructable(main_job), config("3", proxy.uri, name)
    try:
        failed = execute_job(job, instance, run_config=given)
        assert not failed.success
        assert server.statuses(name) == ["FAILED"]
        proxy.refuse(None)
        options = ReexecutionOptions.from_failure(failed.run_id, instance)
        again = execute_job(job, instance, run_config=given, reexecution_options=options)
    finally:
        proxy.stop()
    assert again.success
    assert server.statuses(name) == ["FINISHED"]
