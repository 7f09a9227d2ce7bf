"""The text of RUN_FAILURE, which people see first."""

from __future__ import annotations

from typing import Any

import pytest

from wine_quality_tests.support import other_jobs


@pytest.fixture
def instance(home, monkeypatch):
    from dagster import DagsterInstance

    folder = home / "dagster"
    folder.mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    with DagsterInstance.get() as instance:
        yield instance


def run_failure(instance: Any, job: Any, config: Any = None) -> Any:
    """The error of the run's failure."""
    from dagster import DagsterEventType, execute_job, reconstructable

    result = execute_job(reconstructable(job), instance, run_config=config, raise_on_error=False)
    [failure] = instance.all_logs(result.run_id, of_type=DagsterEventType.RUN_FAILURE)
    return failure.dagster_event.job_failure_data.error


def test_a_step(instance):
    error = run_failure(instance, other_jobs.failing_step)
    assert error.message == "what was wrong. Do this.\n"
    assert error.stack == []
    # Dagster's own is below it, and the traceback.
    assert error.cause.cls_name == "DagsterExecutionStepExecutionError"
    assert "other_jobs.py" in "".join(error.cause.cause.stack)


@pytest.mark.slow
def test_a_resource(instance, mlflow_version, forked_workers):
    config = {"resources": {"mlflow": {"config": {"version": mlflow_version.key}}}}
    error = run_failure(instance, other_jobs.failing_resource, config)
    assert error.message.startswith(f"the MLflow tracking server {other_jobs.NOWHERE} (resources.")
    assert error.message.endswith("Start it, or correct tracking_uri.\n")
    assert error.cause.cls_name == "DagsterResourceFunctionError"
    assert "server_check.py" in "".join(error.cause.cause.stack)
