"""The run launcher of `make up` and `make stack`: a run is forked from a process that is ready.

Dagster's own has the code server start a new Python for each run, which imports for 5 to 10 s what
the last one had imported. Where no warm process can be had, this one does as Dagster's.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from dagster import DefaultRunLauncher

from wine_quality.dagster_support.dagster_private import (
    CheckRunHealthResult,
    ModuleCodePointer,
    WorkerStatus,
    serialize_value,
)
from wine_quality.environments.build import is_complete
from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    MLFLOW_VERSIONS,
    MlflowVersion,
)
from wine_quality.execution.warm_client import (
    RUN_VARIABLES,
    WarmProcessError,
    WarmServers,
    idle_minutes,
    variables_of,
)
from wine_quality.execution.worker_process import WorkerProcess
from wine_quality.settings.runs import MLFLOW
from wine_quality.tracking.runs.lifecycle import is_done, report_done
from wine_quality.tracking.version_choice import choose_version, named_version

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterRun

    from wine_quality.dagster_support.dagster_private import LaunchRunContext

_OUR_CODE = "wine_quality.definitions"
_KILL_SECONDS = 60.0
"""Seconds until a run that is to end is killed: as long as run monitoring waits."""


class WarmRunLauncher(DefaultRunLauncher):
    """Launches each run in a fork of the warm process of the MLflow version that it picks."""

    def launch_run(self, context: LaunchRunContext) -> None:
        run = context.dagster_run
        try:
            variables = run_variables()
            if idle_minutes(variables) > 0:
                version = warm_version(self._instance, run, variables)
                if version is not None:
                    self._launch_warm(version, run, variables)
                    return
        except (WarmProcessError, OSError) as problem:
            self._instance.report_engine_event(
                f"This run starts more slowly, in a new process of the code server: {problem}",
                run,
                cls=self.__class__,
            )
        super().launch_run(context)

    def _launch_warm(
        self, version: MlflowVersion, run: DagsterRun, variables: Mapping[str, str]
    ) -> None:
        WarmServers.of_home(Path(self._instance.root_directory)).launch(
            version,
            variables_of(version, variables),
            run.run_id,
            serialize_value(self._instance.get_ref()),
            lambda worker: self._instance.add_run_tags(run.run_id, worker.as_tag(run.run_id)),
        )
        self._run_ids.add(run.run_id)

    def terminate(self, run_id: str) -> bool:
        run = self._instance.get_run_by_id(run_id) if self.has_instance else None
        worker = WorkerProcess.of_run(run_id, run.tags) if run else None
        if run is None or worker is None:
            return super().terminate(run_id)
        if run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        if not worker.send(signal.SIGINT):
            return False
        # Where this process ends sooner, run monitoring asks for the run's state, which kills too.
        killer = threading.Timer(_KILL_SECONDS, worker.send, [signal.SIGKILL])
        killer.daemon = True
        killer.start()
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        worker = WorkerProcess.of_run(run.run_id, run.tags)
        # The code server itself reports the end of the processes that it started.
        if worker is None or worker.is_running():
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        if is_done(self._instance, run):
            report_done(self._instance, run)
            return CheckRunHealthResult(WorkerStatus.SUCCESS)
        return CheckRunHealthResult(
            WorkerStatus.NOT_FOUND,
            f"the run's process {worker.pid} is gone: it was killed, or ended for lack of memory. "
            "Re-execute the run from failure",
        )

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """Run monitoring asks this of a run that was to start or to end, and has not for a minute.

        It ends the run in Dagster then; so the process ends too.
        """
        worker = WorkerProcess.of_run(run.run_id, run.tags)
        if worker is None or not worker.send(signal.SIGKILL):
            return None
        return f"Its process {worker.pid} was still there, and was killed."


def run_variables() -> dict[str, str]:
    """The environment of runs: of this process, or the one in ``$WINE_QUALITY_RUN_VARIABLES``."""
    named = RUN_VARIABLES.read()
    return json.loads(Path(named).read_text()) if named else dict(os.environ)


def warm_version(
    instance: DagsterInstance, run: DagsterRun, variables: Mapping[str, str]
) -> MlflowVersion | None:
    """The version whose warm process takes a run; None: it starts as with Dagster's launcher.

    Raises:
        WarmProcessError: the code server's environment is not that of an MLflow version.
    """
    if _is_ours(run):
        return version_for(instance, run, variables)
    location = _version_of_location(run)
    if location is None:
        return None
    named = named_version(run.run_config)
    picked = _known(named) if isinstance(named, str) else None
    return picked if picked is not None and is_complete(picked) else location


def version_for(
    instance: DagsterInstance, run: DagsterRun, variables: Mapping[str, str]
) -> MlflowVersion:
    """The version whose warm process takes a run of this package's own code location: the run's
    own, where it is known here.

    A process of any version can take any run: its executor starts another where it must. So a run
    whose version stands in a variable, or is not built, goes to the code server's environment.

    Raises:
        WarmProcessError: the code server's environment is not that of an MLflow version.
    """
    named = named_version(run.run_config)
    version = None
    if named is None:
        set_here = variables.get(MLFLOW) or DEFAULT_VERSION
        version = choose_version(instance, run, set_here).version if _known(set_here) else None
    elif isinstance(named, str):
        version = _known(named)
    if version is not None and is_complete(version):
        return version
    for version in MLFLOW_VERSIONS.values():
        if version.is_resident:
            return version
    raise WarmProcessError(f"{sys.prefix} is the environment of no MLflow version")


def _known(key: str) -> MlflowVersion | None:
    return MLFLOW_VERSIONS.get(key)


def _is_ours(run: DagsterRun) -> bool:
    """Whether the run is of this package's own code location."""
    origin = run.job_code_origin
    pointer = origin.repository_origin.code_pointer if origin else None
    return isinstance(pointer, ModuleCodePointer) and pointer.module == _OUR_CODE


def _version_of_location(run: DagsterRun) -> MlflowVersion | None:
    """The version in whose environment another project's code server is; None where a fork would
    not be as good as a process of that server.

    That is so in an environment of another kind, in a container, behind a port (it may be another
    machine's), and where runs have variables that are this package's alone (`make stack`).
    """
    code, remote = run.job_code_origin, run.remote_job_origin
    if code is None or remote is None or RUN_VARIABLES.read():
        return None
    repository, location = code.repository_origin, remote.repository_origin.code_location_origin
    if repository.container_image or getattr(location, "port", None):
        return None
    programs = Path(repository.executable_path).parent.resolve()
    for version in MLFLOW_VERSIONS.values():
        if programs == version.python.parent.resolve() and is_complete(version):
            return version
    return None
