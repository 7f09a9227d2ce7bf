"""Runs keep what Dagster opens anew for each event, and others read what they write."""

from __future__ import annotations

from dagster import DagsterInstance, DagsterRunStatus, job

from wine_quality.execution.kept_connections import keep_connections


@job
def empty() -> None:
    pass


def test_kept_connections_write_what_others_read(tmp_path):
    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(empty)
        keep_connections(instance)
        for number in range(20):
            instance.report_engine_event(f"event {number}", run)
        instance.report_run_failed(run)
        opened = dict(instance.event_log_storage._engines)
        assert {run.run_id, "index"} <= set(opened)
        # Another process, with Dagster's own storage, meanwhile and afterwards.
        with DagsterInstance.from_config(str(tmp_path)) as other:
            assert len(other.all_logs(run.run_id)) == len(instance.all_logs(run.run_id)) > 20
            other.report_engine_event("of the other", run)
        assert instance.all_logs(run.run_id)[-1].message.startswith("of the other")
    assert not list(tmp_path.rglob("*.db-wal"))
    with DagsterInstance.from_config(str(tmp_path)) as after:
        assert after.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
        assert len(after.all_logs(run.run_id)) > 20


def test_one_engine_asks_for_runs(tmp_path, monkeypatch):
    from dagster._core.storage.runs.sqlite import sqlite_run_storage

    (tmp_path / "dagster.yaml").write_text("telemetry:\n  enabled: false\n")
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        run = instance.create_run_for_job(empty)
        keep_connections(instance)
        # Dagster makes one for each question.
        monkeypatch.delattr(sqlite_run_storage, "create_engine")
        assert instance.get_run_by_id(run.run_id) == run
        instance.report_run_failed(run)
        assert instance.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
    monkeypatch.undo()
    with DagsterInstance.from_config(str(tmp_path)) as after:
        assert after.get_run_by_id(run.run_id).status == DagsterRunStatus.FAILURE
