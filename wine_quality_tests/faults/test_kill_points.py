"""A run is killed at chosen events of its log: Dagster and MLflow agree on what became of it, and
it can be re-executed unless it is done. At every event: ``make kills``.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.faults.part_tables import write_kill_table
from wine_quality_tests.faults.test_parts import RESULTS
from wine_quality_tests.support.warm_process import warm_process

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

LAST_STEP_DONE = "champion_model STEP_SUCCESS"
MLFLOW_ENDED = "ended as FINISHED"
VERSION_MADE = "registered_model STEP_OUTPUT"
MODEL_LOGGED = "elasticnet_model HANDLED_OUTPUT"
AT_ITS_START = "RESOURCE_INIT_SUCCESS"
WINDOWS = [LAST_STEP_DONE, MLFLOW_ENDED]
CHAMPION_OUT = "champion_model HANDLED_OUTPUT"


def endings(lines: list[dict[str, Any]]) -> dict[str, str]:
    assert lines[0]["broken"] == []
    assert {line["when"]: line["broken"] for line in lines[1:] if line["broken"]} == {}
    assert all(line["killed"] for line in lines[1:]), lines[1:]
    return {line["when"]: line["ended"] for line in lines[1:]}


def test_a_worker_is_killed(home, mlflow_version, mlflow_server, tmp_path: Path):
    """In its version's environment, as the launcher of ``make up`` starts it."""
    more = [AT_ITS_START, MODEL_LOGGED, VERSION_MADE] if mlflow_version.key == "3" else []
    given = (mlflow_version.key, mlflow_server(mlflow_version).uri, "worker")
    events = [*more, CHAMPION_OUT, *WINDOWS]
    lines = warm_process(
        mlflow_version, "kill_points", tmp_path / "worker", *given, *events, kills=True
    )
    found = endings(lines)
    assert {found.pop(window) for window in WINDOWS} == {"SUCCESS"}
    assert set(found.values()) == {"FAILURE"}


@pytest.mark.parametrize("mlflow_version", ["1.26", "2.1.1"], indirect=True)
@pytest.mark.parametrize("who", ["worker", "child"])
def test_a_worker_with_a_child_or_the_child_is_killed(
    home, who, mlflow_version, mlflow_server, tmp_path: Path
):
    """Where the executor runs the steps in a process of another environment."""
    resident = MLFLOW_VERSIONS["3"]
    given = (mlflow_version.key, mlflow_server(mlflow_version).uri, who)
    events = [CHAMPION_OUT, MLFLOW_ENDED if mlflow_version.key == "1.26" else LAST_STEP_DONE]
    place = tmp_path / who
    found = endings(warm_process(resident, "kill_points", place, *given, *events, kills=True))
    assert list(found.values()) == ["FAILURE", "SUCCESS"]


COLUMNS = [
    *((key, key, "worker") for key in MLFLOW_VERSIONS),
    *((key, "3", who) for key in MLFLOW_VERSIONS if key != "3" for who in ("worker", "child")),
]


@pytest.mark.timeout(6 * 3600)
@pytest.mark.skipif(RESULTS not in os.environ, reason="make kills: it takes an hour")
@pytest.mark.parametrize(("key", "process", "who"), COLUMNS)
def test_every_event(home, mlflow_server, tmp_path: Path, key, process, who):
    """A column of the table, which is written after each kill."""
    uri = mlflow_server(MLFLOW_VERSIONS[key]).uri
    given = (MLFLOW_VERSIONS[process], "kill_points", tmp_path / who, key, uri, who)
    child = "" if process == key else ", steps in the executor's child"
    column = f"MLflow {key}: the {who}{child}"
    write = partial(write_kill_table, Path(os.environ[RESULTS]), column)
    lines = warm_process(*given, seconds=3 * 3600, kills=True, each=write)
    assert [one for one in lines if one["broken"]] == []
