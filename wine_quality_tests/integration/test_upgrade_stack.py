"""`make upgrade --store stack`: the databases of the local stack."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.upgrades.census import take_census
from wine_quality.upgrades.stack_databases import StackDatabases
from wine_quality.upkeep import data_services
from wine_quality_tests.support.servers import await_condition, processes_of
from wine_quality_tests.support.upgrades import (
    NAME,
    NEW,
    OLD,
    config_in,
    kill_at,
    upgrade,
)
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

STACK = ("1.26", "3", "--store", "stack")


@pytest.fixture(scope="module")
def config(tmp_path_factory) -> Path:
    return config_in(tmp_path_factory.mktemp("config"))


@pytest.fixture
def stack_home(monkeypatch) -> Iterator[Path]:
    """Not under pytest's folder, which is closed to the user that PostgreSQL runs as."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_", "DAGSTER_"))]:
        monkeypatch.delenv(name)
    folder = Path(tempfile.mkdtemp(prefix="wine-quality-upgrade-"))
    folder.chmod(0o755)
    monkeypatch.setenv("WINE_QUALITY_HOME", str(folder))
    yield folder
    await_condition(lambda: not processes_of(folder), "the stack's processes to end")
    shutil.rmtree(folder)


@pytest.mark.skipif(
    os.environ.get("WINE_QUALITY_UPGRADE_TEST") != "all" or not OLD.python.exists(),
    reason="it takes a minute of CPU: WINE_QUALITY_UPGRADE_TEST=all, and Python 3.11",
)
def test_the_databases_of_the_stack(stack_home: Path, config: Path):
    """PostgreSQL, S3 and MLflow servers as the stack has them; Dagster's part is not needed."""
    with data_services.stopped(print) as services:
        place = StackDatabases(OLD, NEW, stack_home / "work", services, is_up=False)
        with place.source_uri() as uri:
            arguments = ["--mlflow", "1.26", "--tracking-uri", uri, "--config", str(config)]
            done = run_command("run", *arguments)
            assert done.returncode == 0, done.stdout + done.stderr
        before = place.fingerprint()
        assert "the stack is up; stop it" in upgrade(*STACK, "--apply", code=1)
    assert "there is no embedded store of MLflow 1.26" in upgrade("1.26", "3", code=1)
    kill_at("upgrading the copy", "--store", "stack")
    output = upgrade(*STACK, "--apply")
    assert "going on with an upgrade that was interrupted" in output
    assert f"{NAME}: champion 1, challenger None" in output
    assert "1 of 1 predict the same as before" in output
    assert "is not empty" in upgrade(*STACK, code=1)
    with data_services.stopped(print) as services:
        place = StackDatabases(OLD, NEW, stack_home / "work", services, is_up=False)
        assert place.fingerprint() == before and not place.is_staged()
        database = place.target_database()
        assert database is not None
        with database as connection:
            found = take_census(connection)
    assert found.aliases == ((NAME, "champion", "1"),)
    assert found.runs == {"FINISHED": 1} and found.versions == {"Production": 1}
    assert "is kept in the database mlflow_3_undone_2" in upgrade(*STACK, "--undo")
    assert "nothing to undo" in upgrade(*STACK, "--undo", code=1)
    with data_services.stopped(print) as services:
        place = StackDatabases(OLD, NEW, stack_home / "work", services, is_up=False)
        assert place.fingerprint() == before
        database = place.target_database()  # the stack makes an empty one when it starts
        assert database is not None
        with database as connection:
            assert take_census(connection).is_empty
