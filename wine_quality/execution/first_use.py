"""Builds the environment of a version when the first run picks it, logged in that run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wine_quality.dagster_support.dagster_private import (
    DagsterExecutionInterruptedError,
    pop_captured_interrupt,
)
from wine_quality.environments.build import build, builds_on_first_use, is_complete
from wine_quality.environments.mlflow_versions import EnvironmentMissingError
from wine_quality.tracking.runs.lifecycle import note_interruption

if TYPE_CHECKING:
    from dagster import DagsterInstance, DagsterLogManager

    from wine_quality.environments.mlflow_versions import MlflowVersion

_STILL_SECONDS = 20.0


def require_environment(
    version: MlflowVersion, log: DagsterLogManager, instance: DagsterInstance, run_id: str
) -> None:
    """Have the version's environment there: built already, by another process meanwhile, or now.

    Raises:
        EnvironmentMissingError: it is not there, and may not or cannot be built; the message gives
            the reason.
        DagsterExecutionInterruptedError: the run was cancelled; nothing goes on being built.
    """
    if not builds_on_first_use():
        version.require_python()
        return
    if is_complete(version) or version.is_resident:
        return
    progress = _RunLog(version, log, instance, run_id)
    try:
        build(version, report=progress)
    except RuntimeError as error:
        raise EnvironmentMissingError(f"MLflow {version.key} was picked, but: {error}") from error
    progress.ready()


class _RunLog:
    """Logs the phases and progress of a build in a run; ends the build with the run."""

    def __init__(
        self, version: MlflowVersion, log: DagsterLogManager, instance: DagsterInstance, run_id: str
    ) -> None:
        self._version = version
        self._log = log
        self._instance = instance
        self._run_id = run_id
        self._phase = ""
        self._shown_at = 0.0

    def __call__(self, phase: str, seconds: float) -> None:
        if pop_captured_interrupt():
            note_interruption(self._instance, self._run_id)
            raise DagsterExecutionInterruptedError
        if phase != self._phase:
            self._log.info(f"{self._title()}: {phase} …")
        elif seconds - self._shown_at >= _STILL_SECONDS:
            self._log.info(f"{self._title()}: {phase} … {seconds:.0f} s")
        else:
            return
        self._phase, self._shown_at = phase, seconds

    def ready(self) -> None:
        self._log.info(f"The environment of MLflow {self._version.key} is ready.")

    def _title(self) -> str:
        return f"Building the environment of MLflow {self._version.key}, used for the first time"
