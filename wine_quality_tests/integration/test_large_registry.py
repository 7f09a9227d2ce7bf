"""Registries as years leave them: 10,000 versions, aliases and files that are gone.

On each version's real server; rows go straight into its database, files from its disk.
"""

from __future__ import annotations

import re
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.tracking.registry.champion import NEIGHBOURS
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.integration.test_promotion import BEST, POOR, Registry
from wine_quality_tests.support.many_runs import age
from wine_quality_tests.support.servers import MlflowServer

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

NUMBER = 10_000
VERSION = re.compile(r"[?&]version=(\d+)")


def grow(server: MlflowServer, model: str, number: int) -> None:
    """Copy version 1, with its tags, until there are so many; none of them has a role.

    The one in the middle is of the same run, which its signature names; the others are of none.
    """
    copies = """WITH RECURSIVE numbers(n) AS
        (SELECT 2 UNION ALL SELECT n + 1 FROM numbers WHERE n < :number)"""
    changed = {
        "version": "n",
        "current_stage": "'None'",
        "run_id": "CASE n WHEN :number / 2 THEN run_id ELSE printf('%032x', n) END",
        "value": "CASE key WHEN 'wine_quality.decision' THEN 'refused' ELSE value END",
    }
    with closing(sqlite3.connect(server.database, timeout=30)) as database, database:
        for table in ("model_versions", "model_version_tags"):
            columns = [row[1] for row in database.execute(f"PRAGMA table_info({table})")]
            values = ", ".join(changed.get(column, column) for column in columns)
            database.execute(
                f"INSERT INTO {table} ({', '.join(columns)}) {copies} "
                f"SELECT {values} FROM {table}, numbers WHERE name = :model AND version = 1",
                {"number": number, "model": model},
            )
        database.execute(
            "DELETE FROM model_version_tags WHERE key = 'wine_quality.previous_champion' "
            "AND name = ? AND version > 1",
            (model,),
        )


@pytest.fixture
def registry(home, mlflow_version, mlflow_server: Callable, tmp_path: Path) -> Registry:
    return Registry(mlflow_version, mlflow_server(mlflow_version), tmp_path)


@pytest.fixture
def proxy(registry) -> Iterator[FaultProxy]:
    proxy = FaultProxy(registry.server.uri)
    yield proxy
    proxy.stop()


@pytest.fixture
def grown(registry) -> Iterator[Callable[[int], None]]:
    """Grow the registry of this test; others use the same server."""
    yield lambda number: grow(registry.server, registry.name, number)
    with closing(sqlite3.connect(registry.server.database, timeout=30)) as database, database:
        for table in ("model_version_tags", "model_versions"):
            database.execute(f"DELETE FROM {table} WHERE name = ?", (registry.name,))


def test_ten_thousand_versions(registry, proxy, grown):
    assert "is the first champion" in registry.train(POOR, uri=proxy.uri)
    alone = len(proxy.requests)
    grown(NUMBER)
    proxy.requests.clear()
    output = registry.train(BEST, uri=proxy.uri)
    assert f"version {NUMBER + 1} (RMSE 0.730900) takes the place of version 1" in output
    # Where MLflow cannot list the newest, the neighbours are asked one by one, if they exist.
    # It is compared with the champion, too.
    assert len(proxy.requests) <= alone + NEIGHBOURS + 30
    asked = [int(number) for _, path in proxy.requests for number in VERSION.findall(path)]
    assert NUMBER + 1 in asked and max(asked) == NUMBER + 1
    proxy.requests.clear()
    assert f"version 1 (before: {NUMBER + 1})" in registry.do("rollback", uri=proxy.uri)
    output = registry.do("promote", "--version", str(NUMBER // 2), uri=proxy.uri)
    assert f"version {NUMBER // 2} (before: 1)" in output
    assert f"version 1 (before: {NUMBER // 2})" in registry.do("rollback", uri=proxy.uri)
    # Alias, stage and the note of both, thrice: as many with one version as with ten thousand.
    assert len(proxy.requests) <= 60


@pytest.mark.parametrize("mlflow_version", [MLFLOW_VERSIONS["1.26"]], ids=["1.26"])
def test_more_versions_than_mlflow_1_gives_at_once(registry, proxy, grown):
    number = 1010
    registry.train(BEST)
    grown(number)
    with closing(sqlite3.connect(registry.server.database, timeout=30)) as database, database:
        gone = (registry.name, number // 2)
        database.execute("DELETE FROM model_version_tags WHERE name = ? AND version = ?", gone)
        database.execute("DELETE FROM model_versions WHERE name = ? AND version = ?", gone)
    age(registry.server, registry.name)
    output = registry.do("retention", uri=proxy.uri)
    assert f"1000 of {number} versions of {registry.name} are looked at" in output
    assert re.search(rf"^versions +{number - 2} \(1 stay\)", output, re.MULTILINE), output
    searched = [path for _, path in proxy.requests if "model-versions/search" in path]
    assert not any(registry.name in path for path in searched), searched


def test_a_champion_whose_files_cannot_be_had_stays_and_one_whose_files_are_gone_does_not(
    registry, proxy
):
    registry.train(BEST)
    proxy.refuse(r"mlflow-artifacts/artifacts\?.*training")
    assert "The run failed" in registry.train(POOR, uri=proxy.uri, ok=False)
    assert registry.champion == "1"
    [champion] = [run for run in registry.server.runs(registry.name) if is_finished(run)]
    shutil.rmtree(registry.server.artifacts / champion["info"]["experiment_id"])
    output = registry.train(POOR)
    assert "takes the place of version 1, which cannot be loaded any more" in output
    assert registry.champion == "2"
    assert "champion       version 1 (before: 2)" in registry.do("rollback")


def is_finished(run: dict) -> bool:
    return run["info"]["status"] == "FINISHED"


@pytest.mark.parametrize("mlflow_version", [MLFLOW_VERSIONS["3"]], ids=["3"])
def test_aliases_that_point_nowhere(registry):
    registry.train(BEST)
    with closing(sqlite3.connect(registry.server.database, timeout=30)) as database, database:
        database.execute("DELETE FROM registered_model_aliases WHERE name = ?", (registry.name,))
        database.executemany(
            "INSERT INTO registered_model_aliases (name, alias, version) VALUES (?, ?, 99)",
            [(registry.name, "champion"), (registry.name, "challenger")],
        )
    assert (registry.champion, registry.challenger) == ("99", "99")
    assert "has no champion to roll back" in registry.do("rollback", ok=False)
    assert "has no challenger" in registry.do("promote", ok=False)
    # Version 1 had replaced nobody, as the new one would: the better of them is champion.
    assert "version 1 (RMSE 0.730900) stays the champion" in registry.train(POOR)
    assert (registry.champion, registry.challenger) == ("1", "2")
    assert "champion       version 2 (before: 1)" in registry.do("promote")
