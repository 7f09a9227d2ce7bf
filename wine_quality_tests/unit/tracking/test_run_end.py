"""How a run ends, where whoever ran it died: the parts, without the platform."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from dagster import (
    DagsterEventType,
    DagsterInstance,
    DagsterRunStatus,
    build_run_status_sensor_context,
    job,
    op,
)

from wine_quality.execution import lost_runs
from wine_quality.execution.done_runs import count_done_runs
from wine_quality.execution.lost_runs import end_lost_runs
from wine_quality.tracking.runs import close_run
from wine_quality.tracking.runs.close_run import Closed
from wine_quality.tracking.runs.lifecycle import final_status
from wine_quality.tracking.runs.run_tags import RUN_TAG

LONG_AGO = datetime.now(timezone.utc) - timedelta(days=7)


@op
def first() -> None:
    pass


@op
def second() -> None:
    pass


@op
def failing() -> None:
    raise ValueError("no")


@job
def well() -> None:
    first()
    second()


@job
def ill() -> None:
    first()
    failing()


@pytest.fixture
def instance() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def run_of(instance: DagsterInstance, of=well, **how) -> str:
    return of.execute_in_process(instance=instance, raise_on_error=False, **how).run_id


def status(instance: DagsterInstance, run_id: str) -> DagsterRunStatus:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run.status


def test_a_run_whose_steps_all_succeeded_counts_as_done(instance):
    died, stopped, failed = run_of(instance), run_of(instance), run_of(instance, ill)
    instance.report_run_failed(instance.get_run_by_id(died))
    instance.report_run_canceled(instance.get_run_by_id(stopped))
    never = instance.create_run_for_job(well).run_id
    instance.report_run_failed(instance.get_run_by_id(never))

    done, reached = count_done_runs(instance, LONG_AGO)
    assert sorted(done) == sorted([died, stopped])
    assert {status(instance, run) for run in done} == {DagsterRunStatus.SUCCESS}
    assert {status(instance, run) for run in (failed, never)} == {DagsterRunStatus.FAILURE}
    text = instance.all_logs(died, of_type=DagsterEventType.RUN_SUCCESS)[-1]
    assert "All steps had succeeded" in text.dagster_event.message
    # What is old is not looked at again, what may just have been stored is.
    assert LONG_AGO < reached < datetime.now(timezone.utc)
    assert count_done_runs(instance, reached)[0] == []


def test_many_ended_runs_are_looked_at_in_turns(instance, monkeypatch):
    monkeypatch.setattr("wine_quality.execution.done_runs._PAGE_SIZE", 2)
    died = [run_of(instance) for _ in range(3)]
    for run in died:
        instance.report_run_failed(instance.get_run_by_id(run))
    found, since = [], LONG_AGO
    for _ in range(3):
        done, since = count_done_runs(instance, since)
        found += done
    assert sorted(found) == sorted(died)


def test_a_cancellation_after_the_last_step_comes_too_late(instance):
    run = instance.get_run_by_id(run_of(instance))
    instance.report_run_canceling(run)
    assert final_status(instance, run) == "FINISHED"


def test_a_lost_run_that_was_done_is_a_success(instance, monkeypatch):
    monkeypatch.setattr(lost_runs, "_GRACE_SECONDS", 0.0)
    monkeypatch.setattr(lost_runs, "is_worker", lambda *_: False)
    run_id = run_of(instance, tags={".dagster/grpc_info": "{}"})
    run = instance.get_run_by_id(run_id)
    instance.report_engine_event("Started process for run (pid: 1).", run)
    instance.report_run_canceling(run)
    assert end_lost_runs(instance) == [run_id]
    assert status(instance, run_id) == DagsterRunStatus.SUCCESS


def test_nobody_is_told_that_a_run_failed_which_was_done(instance, monkeypatch):
    from wine_quality.defs.notices import sensors
    from wine_quality.notices.settings import NoticeSettings

    messages: list[str] = []
    monkeypatch.setattr(sensors, "_deliver", lambda notice, *_: messages.append(notice.title))
    sensor = sensors._failures(NoticeSettings.from_environment())
    for of in (well, ill):
        run = instance.get_run_by_id(run_of(instance, of))
        event = instance.report_run_failed(run)
        context = build_run_status_sensor_context(
            sensors.FAILURE_SENSOR, event, instance, run
        ).for_run_failure()
        sensor(context)
    assert len(messages) == 1 and "ill" in messages[0]


@pytest.fixture
def client(tmp_path: Path):
    from mlflow.tracking import MlflowClient

    client = MlflowClient(f"sqlite:///{tmp_path / 'mlflow.db'}")
    client.uri = f"sqlite:///{tmp_path / 'mlflow.db'}"
    return client


@pytest.mark.slow
def test_what_is_not_in_the_experiment_noted_is_looked_for_in_all(client):
    other = client.create_experiment("other")
    client.create_experiment("noted")
    run = client.create_run(other, tags={RUN_TAG: "mine"}).info.run_id
    found = close_run.main(client.uri, "noted", "", "mine", "FAILED")
    assert found == Closed(run, "other")
    assert client.get_run(run).info.status == "FAILED"
    # Taken up, and its process died before it was RUNNING again.
    client.set_terminated(run, "FINISHED")
    close_run.main(client.uri, "none of that name", run, "mine", "KILLED")
    assert client.get_run(run).info.status == "KILLED"


@pytest.mark.slow
def test_a_run_that_another_has_taken_up_is_left_to_it(client):
    experiment = client.create_experiment("noted")
    run = client.create_run(experiment, tags={RUN_TAG: "another"}).info.run_id
    found = close_run.main(client.uri, "noted", run, "mine", "FAILED")
    assert found == Closed(run, "noted", "another")
    assert "is left to Dagster run another" in found.describe("FAILED", client.uri)
    assert client.get_run(run).info.status == "RUNNING"
    none = close_run.main(client.uri, "noted", "", "mine", "FAILED")
    assert none == Closed()
    assert "in any experiment" in none.describe("FAILED", client.uri)
