"""*Terminate* in the UI, of a run with two steps at the same time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.dagster_support.run_tag_names import MLFLOW_STATE_TAG
from wine_quality_tests.support.dagster_stack import DagsterStack
from wine_quality_tests.support.servers import await_condition

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PROJECT = """
import dagster as dg

from wine_quality_tests.support import parallel_project

defs = dg.Definitions(jobs=[parallel_project.both()])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """Of the project, with the files by which its steps wait for ever."""
    made = tmp_path_factory.mktemp("parallel")
    (made / "definitions.py").write_text(PROJECT)
    for side in ("left", "right"):
        (made / f"{side}.waits").touch()
    return made


@pytest.fixture(scope="module")
def dagster(folder) -> Iterator[DagsterStack]:
    stack = DagsterStack(folder, folder / "definitions.py", WINE_QUALITY_TEST_FOLDER=str(folder))
    yield stack
    stack.stop()


def test_terminate_ends_all_steps_and_their_mlflow_run(
    dagster, folder, mlflow_server, mlflow_version
):
    server, name = mlflow_server(mlflow_version), f"terminated-{mlflow_version.key}"
    fields = {"version": mlflow_version.key, "tracking_uri": server.uri, "experiment_name": name}
    config = {
        "resources": {"mlflow": {"config": fields}},
        "execution": {"config": {"max_concurrent": 2}},
    }
    sides = [folder / f"{side}.works" for side in ("left", "right")]
    for side in sides:
        side.unlink(missing_ok=True)
    run = dagster.launch(config, job="both")
    await_condition(lambda: all(side.exists() for side in sides), "both at work", 90)
    dagster.terminate(run)
    assert dagster.wait(run) == "CANCELED", dagster.messages(run)
    assert not [side for side in sides if Path(f"/proc/{side.read_text()}").exists()]
    assert server.statuses(name) == ["KILLED"]
    [tags] = [found["tags"] for found in dagster.runs() if found["runId"] == run]
    assert tags[MLFLOW_STATE_TAG] == "KILLED"
