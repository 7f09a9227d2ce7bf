"""Each service killed while a run is at work: the run ends, and the service comes back."""

from __future__ import annotations

import pytest

from wine_quality_tests.containers.conftest import NOT_HERE
from wine_quality_tests.support.compose import READY_SECONDS, Compose
from wine_quality_tests.support.servers import await_condition

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
]

SERVICES = (
    "postgres",
    "minio",
    "mlflow",
    "dagster-code",
    "dagster-webserver",
    "dagster-daemon",
    "proxy",
)
END_SECONDS = 400
"""A worker that died is noticed after a minute or two; a sensor then closes its MLflow run."""
_RUNS = "SELECT run_uuid, status FROM runs"


@pytest.mark.parametrize("service", SERVICES)
def test_a_service_is_killed_in_mid_run(platform: Compose, see, service):
    before = {row[0] for row in platform.psql("mlflow_3", _RUNS)}
    run = platform.launch({})
    await_condition(lambda: is_training(platform, before), "a run of MLflow", END_SECONDS)
    came_back = platform.crash(service)
    await_condition(platform.is_ready, f"the platform without its {service}", READY_SECONDS)
    ended = platform.wait(run, END_SECONDS)
    await_condition(lambda: not open_runs(platform), "the end of MLflow's runs", END_SECONDS)
    tracked = {status for key, status in platform.psql("mlflow_3", _RUNS) if key not in before}
    see(
        f"{service} killed in mid-run",
        f"{ended}; MLflow: {', '.join(sorted(tracked))}; {came_back}",
    )
    assert ended in ("SUCCESS", "FAILURE")
    assert tracked <= ({"FINISHED"} if ended == "SUCCESS" else {"FAILED", "KILLED"})


def is_training(platform: Compose, before: set[str]) -> bool:
    return any(row[0] not in before for row in platform.psql("mlflow_3", _RUNS))


def open_runs(platform: Compose) -> list[str]:
    return [key for key, status in platform.psql("mlflow_3", _RUNS) if status == "RUNNING"]
