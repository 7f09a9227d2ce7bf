"""Values between steps: exact, of one's own run, and clear when they are missing."""

from __future__ import annotations

import json

import pandas as pd
import pytest
from upath import UPath

from wine_quality.defs.io_manager import PlainFormatIOManager, read_frame, write_frame
from wine_quality_tests.support import other_jobs


def config(value: int) -> dict:
    return {"ops": {"number": {"config": {"value": value}}}}


def test_a_frame_comes_back_exactly(tmp_path):
    frame = pd.DataFrame(
        {"float": [0.1 + 0.2, 1e-308, -0.0], "whole": [1, 2, 2**53 + 1], "text": ["a", "ü", ""]},
        index=pd.Index([7, 3, 5], name="row"),
    )
    frame.attrs = {"data_sha256": "ab", "split_seed": 40}
    path = UPath(tmp_path / "frame.parquet")
    write_frame(frame, path)
    read = read_frame(path)
    pd.testing.assert_frame_equal(read, frame, check_exact=True)
    assert read.attrs == frame.attrs


def test_a_reexecution_gets_its_own_runs_value(home, monkeypatch):
    """Not that of a run which materialized the asset meanwhile."""
    from dagster import DagsterInstance, ReexecutionOptions, execute_job, reconstructable

    (home / "dagster").mkdir(parents=True)
    monkeypatch.setenv("DAGSTER_HOME", str(home / "dagster"))
    job = reconstructable(other_jobs.numbers)
    with DagsterInstance.get() as instance:
        monkeypatch.setenv("WINE_QUALITY_TEST_FAULT", "1")
        failed = execute_job(job, instance, config(1))
        assert not failed.success
        monkeypatch.delenv("WINE_QUALITY_TEST_FAULT")
        later = execute_job(job, instance, config(20))
        options = ReexecutionOptions.from_failure(failed.run_id, instance)
        again = execute_job(job, instance, config(1), reexecution_options=options)
    for run, value in ((later, 40), (again, 2)):
        stored = home / "assets" / "doubled" / f"{run.run_id}.json"
        assert json.loads(stored.read_text()) == {"value": value}


def test_a_part_gets_the_latest_value(home):
    from dagster import DagsterInstance, materialize

    with DagsterInstance.ephemeral() as instance:
        given = {"instance": instance, "resources": {"io_manager": PlainFormatIOManager()}}
        assets = [other_jobs.number, other_jobs.doubled]
        for value in (3, 4):
            materialize(assets[:1], run_config=config(value), **given)
        done = materialize(assets, selection=[other_jobs.doubled], **given)
        assert done.output_for_node("doubled") == {"value": 8}


def test_a_missing_value_says_what_to_materialize(home):
    from dagster import DagsterInstance, materialize

    with DagsterInstance.ephemeral() as instance:
        done = materialize(
            [other_jobs.number, other_jobs.doubled],
            selection=[other_jobs.doubled],
            instance=instance,
            resources={"io_manager": PlainFormatIOManager(base_path=str(home / "values"))},
            raise_on_error=False,
        )
    [failure] = done.get_step_failure_events()
    error = failure.step_failure_data.error
    message = f"there is no value of number in {home / 'values'}: materialize number first"
    assert message in str(error.to_string())


def test_values_may_lie_elsewhere(home):
    """Any place that fsspec knows: ``memory://`` here, ``s3://`` on the platform."""
    from dagster import DagsterInstance, materialize

    with DagsterInstance.ephemeral() as instance:
        done = materialize(
            [other_jobs.number, other_jobs.doubled],
            instance=instance,
            run_config=config(5),
            resources={"io_manager": PlainFormatIOManager(base_path="memory://values")},
        )
        assert done.output_for_node("doubled") == {"value": 10}
        assert UPath(f"memory://values/number/{done.run_id}.json").exists()


@pytest.fixture(autouse=True)
def _no_leftovers(monkeypatch):
    monkeypatch.delenv("WINE_QUALITY_TEST_FAULT", raising=False)
