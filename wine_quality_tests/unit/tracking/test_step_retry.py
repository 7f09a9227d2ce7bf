"""Steps whose MLflow server was away are tried again by Dagster; others fail, with the reason."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from dagster import DagsterEventType, DagsterInstance, job, op

from wine_quality.tracking.servers import step_retry
from wine_quality.tracking.servers.server_check import name_failing_server

URL = "API request to http://127.0.0.1:9/api/2.0/mlflow/runs/log-batch failed with exception"
AWAY = f"{URL} HTTPConnectionPool(…): [Errno 111] Connection refused"
FORBIDDEN = (
    "API request to endpoint /api/2.0/mlflow/runs/log-batch failed with error code 403 != 200. "
    "Response body: 'Permission denied'"
)


@pytest.fixture(autouse=True)
def no_pause(monkeypatch) -> None:
    monkeypatch.setattr(step_retry, "PAUSE_SECONDS", 0)


def failing(text: str, times: int) -> Callable[[], None]:
    """Raises MLflow's error so often, and then nothing."""
    left = [times]

    def act() -> None:
        from mlflow.exceptions import MlflowException

        left[0] -= 1
        if left[0] >= 0:
            raise MlflowException(text)

    return act


def execute(act: Callable[[], None]) -> tuple[bool, int, str]:
    """Whether a job of one step succeeds, how often the step was tried again, why it failed."""

    @op
    @name_failing_server(retry_step=True)
    def one_step() -> None:
        act()

    @job
    def one_job() -> None:
        one_step()

    with DagsterInstance.ephemeral() as instance:
        done = one_job.execute_in_process(instance=instance, raise_on_error=False)
        retries = instance.all_logs(done.run_id, of_type=DagsterEventType.STEP_UP_FOR_RETRY)
        failures = done.filter_events(lambda event: event.is_step_failure)
        reasons = [str(event.step_failure_data.error.to_string()) for event in failures]
    return done.success, len(retries), "".join(reasons)


def test_an_outage_is_outlived():
    assert execute(failing(AWAY, 2)) == (True, 2, "")


def test_one_without_end_is_named():
    success, retries, reason = execute(failing(AWAY, 99))
    assert (success, retries) == (False, step_retry.RETRIES)
    assert "failed in the middle of this step: [Errno 111] Connection refused" in reason
    assert "Start it" in reason
    assert "Exceeded max_retries" not in reason


def test_what_is_refused_fails_at_once():
    success, retries, reason = execute(failing(FORBIDDEN, 1))
    assert (success, retries) == (False, 0)
    assert "may not write to runs of the experiment" in reason


def test_the_opening_of_the_run_outside_of_steps():
    messages: list[str] = []
    step_retry.retry_while_unavailable(failing(AWAY, 3), messages.append)
    assert len(messages) == 3
    with pytest.raises(Exception, match="403"):
        step_retry.retry_while_unavailable(failing(FORBIDDEN, 1), messages.append)
    with pytest.raises(Exception, match="111"):
        step_retry.retry_while_unavailable(failing(AWAY, 99), lambda _: None)
