"""Runs a job in this process as a run of the code location that the UI shows.

``dagster.execute_job`` leaves out where the job comes from; such runs are on Dagster's list of all
runs, but not on the overview or the page of their job, and run status sensors do not see them.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.dagster_support.dagster_private import (
    RemoteRepositoryOrigin,
    capture_interrupts,
    execute_run,
    location_origins_from_yaml_paths,
    pop_captured_interrupt,
)
from wine_quality.paths import PROJECT_FILES, PROJECT_ROOT

if TYPE_CHECKING:
    from dagster import DagsterInstance, JobExecutionResult

    from wine_quality.dagster_support.dagster_private import ReconstructableJob

# Dagster's name of what a module's one ``Definitions`` holds.
_REPOSITORY = "__repository__"


def execute_as_of_code_location(
    job: ReconstructableJob,
    instance: DagsterInstance,
    run_config: Mapping[str, Any],
    tags: Mapping[str, str],
) -> JobExecutionResult:
    """Make the run and execute it here, until it has ended.

    Raises:
        DagsterInvalidConfigError: the run config does not fit the job; no run was made.
    """
    definition = job.get_definition()
    # Ctrl-C in the middle of a write would be reported as an error of the database driver.
    with capture_interrupts():
        run = instance.create_run_for_job(
            job_def=definition,
            run_config=run_config,
            tags={**definition.run_tags, **tags},
            remote_job_origin=_repository().get_job_origin(definition.name),
            job_code_origin=job.get_python_origin(),
        )
    if pop_captured_interrupt():
        raise KeyboardInterrupt
    return execute_run(job, run, instance)


@lru_cache(maxsize=1)
def _repository() -> RemoteRepositoryOrigin:
    (location,) = location_origins_from_yaml_paths([str(_workspace())])
    return RemoteRepositoryOrigin(location, _REPOSITORY)


def _workspace() -> Path:
    """The file that the UI reads, too: in containers it names the code server."""
    if os.environ.get("DAGSTER_CODE_HOST"):
        return PROJECT_ROOT / "deploy" / "docker-compose" / "workspace.yaml"
    return PROJECT_FILES / "workspace.yaml"
