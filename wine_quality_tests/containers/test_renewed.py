"""`make renew … ON=compose`: Dagster's database migrated, one MLflow's runs taken to a newer."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from wine_quality.upkeep.restore import verify
from wine_quality_tests.containers.conftest import NOT_HERE, VERSIONS
from wine_quality_tests.containers.test_platform import RUN_SECONDS, champions, do
from wine_quality_tests.support.compose import READY_SECONDS, Compose
from wine_quality_tests.support.servers import await_condition

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
    pytest.mark.skipif("1.26" not in VERSIONS, reason="WINE_QUALITY_CONTAINERS names no 1.26"),
]

RUNS = "SELECT count(*), sum(length(run_body)) FROM runs"


@pytest.fixture
def old(tmp_path, built) -> Iterator[Compose]:
    """A platform of its own: nothing was tracked on its MLflow 3."""
    started = Compose(tmp_path / "compose", f"wqr{os.getpid()}", ("3", "1.26"))
    try:
        started.up()
        yield started
    finally:
        started.stop()


def test_dagster_and_mlflow_are_renewed_in_containers(old, see, tmp_path):
    run = old.launch({"resources": {"mlflow": {"config": {"version": "1.26"}}}})
    assert old.wait(run, RUN_SECONDS) == "SUCCESS", old.messages(run)[-5:]
    before = old.psql("dagster", RUNS)
    done = do(old, "renew", "dagster", str(tmp_path / "one"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "the same in both" in done.stdout and verify(tmp_path / "one")
    assert old.psql("dagster", RUNS) == before
    done = do(old, "renew", "mlflow", str(tmp_path / "two"), "--with", "1.26 3")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 of 1 predict the same as before" in done.stdout and verify(tmp_path / "two")
    await_condition(old.is_ready, "the renewed platform", READY_SECONDS)
    assert champions(old)["3"] == [["ElasticnetWineModel", "1"]]
    for what in ("postgres", "store"):
        done = do(old, "renew", what, str(tmp_path / "three"))
        assert done.returncode == 2 and "ON=compose is for dagster and mlflow" in done.stderr
    again = old.launch({})
    assert old.wait(again, RUN_SECONDS) == "SUCCESS", old.messages(again)[-5:]
    assert int(champions(old)["3"][0][1]) >= 1
    see("Dagster and MLflow renewed", "a run of 1.26 on 3, the champion, another run")
