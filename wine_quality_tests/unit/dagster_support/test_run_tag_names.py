"""Which tags stand in a run's row, and those of a home that an older commit left behind."""

from __future__ import annotations

import datetime

import pytest
from dagster import DagsterInstance, DagsterRunStatus, RunsFilter, job, op

from wine_quality.dagster_support import run_tag_names
from wine_quality.dagster_support.instance import is_up_to_date, open_dagster, stores_are_made
from wine_quality.dagster_support.label_runs import label_runs
from wine_quality.dagster_support.run_tag_names import (
    FORMER_NAMES,
    MLFLOW_STATE_TAG,
    change_tag,
    runs_tagged,
    under_current_names,
)
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags, file_name
from wine_quality.tracking.registry.promotion_note import Promotion, disown_promotion
from wine_quality.tracking.runs.close_run import is_open
from wine_quality.tracking.runs.lifecycle import resumption_of
from wine_quality.tracking.runs.run_tags import OPEN


@op
def nothing() -> None:
    pass


@job
def empty_job() -> None:
    nothing()


def run_with(instance: DagsterInstance, tags: dict[str, str]):
    """A run that ended, with tags that hold ``{run}`` for its id."""
    made = empty_job.execute_in_process(instance=instance)
    instance.add_run_tags(made.run_id, {k: v.format(run=made.run_id) for k, v in tags.items()})
    return instance.get_run_by_id(made.run_id)


OLD_RUN = {
    "mlflow/state": OPEN,
    "mlflow/dagster_run_id": "{run}",
    "mlflow/run_id": "abc",
    "mlflow/version": "2.1.1",
    "wine_quality/promoted": "4",
    "wine_quality/promoted_model": "Wine",
    "wine_quality/promoted_before": "3",
    "wine_quality/promoted_url": "http://host/",
    "wine_quality/withdrawn": "false",
    "wine_quality/promoted_by": "{run}",
}


def test_only_three_tags_stand_in_the_row_of_a_run() -> None:
    names = [value for name, value in vars(run_tag_names).items() if name.endswith("_TAG")]
    in_row = {name for name in names if not name.startswith(("dagster/", ".dagster/"))}
    assert in_row == {"mlflow/version", "file", "promoted"}
    assert len(set(names)) == len(names)
    assert set(FORMER_NAMES) <= set(names)


def test_a_run_of_an_older_home_is_read() -> None:
    with DagsterInstance.ephemeral() as instance:
        run = run_with(instance, OLD_RUN)
        assert is_open(run)
        assert resumption_of(instance, run).run_id == "abc"
        made = Promotion.of(run)
        assert made is not None and (made.version, made.before, made.model) == ("4", "3", "Wine")
        when = {"wine_quality/source": "a.csv", "wine_quality/arrived": "2026-01-02T03:04:05+00:00"}
        assert (
            arrived_at(when, "a.csv")
            == datetime.datetime.fromisoformat("2026-01-02T03:04:05+00:00").timestamp()
        )


def test_runs_are_found_under_both_names_until_the_tag_changes() -> None:
    with DagsterInstance.ephemeral() as instance:
        old = run_with(instance, OLD_RUN)
        new = run_with(instance, {MLFLOW_STATE_TAG: OPEN})
        both = run_with(instance, {MLFLOW_STATE_TAG: OPEN, "mlflow/state": OPEN})

        def found() -> list[str]:
            statuses = [DagsterRunStatus.SUCCESS]
            runs = runs_tagged(instance, MLFLOW_STATE_TAG, OPEN, statuses=statuses)
            return [run.run_id for run in runs]

        assert found() == [both.run_id, new.run_id, old.run_id]
        for run in (old, both):
            change_tag(instance, run.run_id, MLFLOW_STATE_TAG, "FINISHED")
        assert found() == [new.run_id]
        changed = instance.get_run_by_id(old.run_id)
        assert changed is not None and not is_open(changed)
        assert changed.tags["mlflow/state"] == "FINISHED"  # not asked for again and again


def test_a_re_execution_does_not_show_the_promotion_of_its_parent() -> None:
    with DagsterInstance.ephemeral() as instance:
        parent = run_with(instance, OLD_RUN)
        assert disown_promotion(parent) == {}
        copied = run_with(instance, dict(parent.tags))
        assert disown_promotion(copied) == {"promoted": "no"}
        assert disown_promotion(run_with(instance, {})) == {}


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("https://user:pw@host/wines/red.csv?key=secret", "red.csv"),
        ("s3://wines/2026/white.parquet", "white.parquet"),
        ("/data/wines/", "wines"),
        ("winequality-red.csv (packaged)", "winequality-red.csv (packaged)"),
    ],
)
def test_the_file_tag_is_short_and_holds_no_secret(source: str, name: str) -> None:
    assert file_name(source) == name
    assert data_tags(source, "ab")["file"] == name
    assert "secret" not in str(under_current_names(data_tags(source, "ab", "cd")))


def test_runs_that_older_commands_made_get_the_label_of_the_code_location(tmp_path) -> None:
    @job
    def wine_quality_model() -> None:
        nothing()

    folder = tmp_path / "dagster"
    folder.mkdir()
    with DagsterInstance.local_temp(str(folder)) as instance:
        old = wine_quality_model.execute_in_process(instance=instance).run_id
        other = empty_job.execute_in_process(instance=instance).run_id
        assert label_runs(instance) == 1
        label = {".dagster/repository": "__repository__@ml_repository"}
        assert [run.run_id for run in instance.get_runs(RunsFilter(tags=label))] == [old]
        run = instance.get_run_by_id(other)
        assert run is not None and ".dagster/repository" not in run.tags
        assert label_runs(instance) == 0


def test_a_home_is_labelled_once(tmp_path) -> None:
    (tmp_path / "dagster.yaml").write_text("telemetry: {enabled: false}")
    assert not is_up_to_date(tmp_path)
    open_dagster(tmp_path).dispose()
    assert is_up_to_date(tmp_path)
    (tmp_path / ".runs_labelled").unlink()  # as an older commit leaves it
    assert stores_are_made(tmp_path) and not is_up_to_date(tmp_path)
    open_dagster(tmp_path).dispose()
    assert is_up_to_date(tmp_path)
