"""Every private import of Dagster that the project makes, in one place.

A Dagster upgrade that moves one of these names fails here, by name, and nowhere else
(``wine_quality_tests/unit/dagster_support/test_dagster_private.py`` lists them).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from dagster._config.errors import PostProcessingError
from dagster._core.code_pointer import ModuleCodePointer
from dagster._core.definitions.definition_config_schema import DefinitionConfigSchema
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.definitions.run_request import DagsterRunReaction
from dagster._core.errors import (
    DagsterExecutionInterruptedError,
    DagsterSubprocessError,
    DagsterUserCodeProcessError,
)
from dagster._core.events import DagsterEvent, EngineEventData
from dagster._core.execution.api import (
    ExecuteRunWithPlanIterable,
    create_execution_plan,
    execute_run,
)
from dagster._core.execution.context.system import PlanOrchestrationContext
from dagster._core.execution.context_creation_job import PlanExecutionContextManager
from dagster._core.execution.plan.execute_plan import inner_plan_execution_iterator
from dagster._core.execution.plan.objects import ErrorSource, StepFailureData
from dagster._core.execution.plan.plan import ExecutionPlan
from dagster._core.execution.retries import RetryMode
from dagster._core.execution.step_dependency_config import StepDependencyConfig
from dagster._core.executor.base import Executor
from dagster._core.executor.in_process import InProcessExecutor, inprocess_execution_iterator
from dagster._core.instance.ref import InstanceRef
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, WorkerStatus
from dagster._core.remote_origin import RemoteRepositoryOrigin
from dagster._core.run_coordinator.base import SubmitRunContext
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator
from dagster._core.system_config.objects import ResolvedRunConfig
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster._grpc.impl import core_execute_run
from dagster._grpc.types import ExecuteStepArgs
from dagster._serdes import deserialize_value, serialize_value
from dagster._utils import get_run_crash_explanation
from dagster._utils.error import SerializableErrorInfo, serializable_error_info_from_exc_info
from dagster._utils.hosted_user_process import recon_job_from_origin
from dagster._utils.interrupts import capture_interrupts, pop_captured_interrupt

__all__ = [
    "CheckRunHealthResult",
    "DagsterEvent",
    "DagsterExecutionInterruptedError",
    "DagsterRunReaction",
    "DagsterSubprocessError",
    "DagsterUserCodeProcessError",
    "DefinitionConfigSchema",
    "EngineEventData",
    "ErrorSource",
    "ExecuteRunWithPlanIterable",
    "ExecuteStepArgs",
    "ExecutionPlan",
    "Executor",
    "InProcessExecutor",
    "InstanceRef",
    "LaunchRunContext",
    "ModuleCodePointer",
    "PlanExecutionContextManager",
    "PlanOrchestrationContext",
    "PostProcessingError",
    "QueuedRunCoordinator",
    "ReconstructableJob",
    "ResolvedRunConfig",
    "RetryMode",
    "SerializableErrorInfo",
    "StepDependencyConfig",
    "StepFailureData",
    "SubmitRunContext",
    "WorkerStatus",
    "capture_interrupts",
    "core_execute_run",
    "create_execution_plan",
    "daemon_of_files",
    "deserialize_value",
    "get_run_crash_explanation",
    "inner_plan_execution_iterator",
    "inprocess_execution_iterator",
    "pop_captured_interrupt",
    "recon_job_from_origin",
    "serializable_error_info_from_exc_info",
    "serialize_value",
    "step_delegating",
    "workspace_of_files",
    "execute_run",
    "RemoteRepositoryOrigin",
    "location_origins_from_yaml_paths",
]

if TYPE_CHECKING:
    from dagster import DagsterInstance
    from dagster._core.executor.step_delegating import (
        CheckStepHealthResult as CheckStepHealthResult,
    )
    from dagster._core.executor.step_delegating import StepHandlerContext as StepHandlerContext


def workspace_of_files(instance: DagsterInstance, files: Sequence[str], version: str) -> Any:
    """A webserver's context, to be entered: the code locations that workspace files name."""
    # Of the webserver alone; every run imports this module.
    from dagster._core.workspace.context import WorkspaceProcessContext
    from dagster._core.workspace.load_target import WorkspaceFileTarget

    return WorkspaceProcessContext(
        instance, version=version, workspace_load_target=WorkspaceFileTarget(paths=files)
    )


def daemon_of_files(instance: DagsterInstance, files: Sequence[str]) -> Any:
    """A controller of the instance's daemons, to be entered: with the code locations that workspace
    files name, and the limits and the log of ``dagster-daemon run``."""
    from dagster._core.workspace.load_target import WorkspaceFileTarget
    from dagster._daemon.cli import _get_heartbeat_tolerance, daemon_controller_from_instance

    return daemon_controller_from_instance(
        instance,
        workspace_load_target=WorkspaceFileTarget(paths=files),
        heartbeat_tolerance_seconds=_get_heartbeat_tolerance(),
        code_server_log_level="warning",
        log_level=os.environ.get("DAGSTER_DAEMON_LOG_LEVEL", "info"),
    )


def step_delegating() -> Any:
    """The module of Dagster's executor that hands steps to other processes, and its handler's."""
    # Of runs with parallel steps alone.
    from dagster._core.executor import step_delegating

    return step_delegating


# Modules that Dagster itself imports when a run begins, on sqlite and on PostgreSQL.
RUN_MODULES = (
    "dagster._core.execution.plan.active",
    "dagster._core.instance.factory",
    "dagster._core.instance.runs.run_domain",
    "dagster._core.run_coordinator.queued_run_coordinator",
    "dagster._core.scheduler.scheduler",
    "dagster._core.secrets.env_file",
    "dagster._core.storage.event_log.sqlite.sqlite_event_log",
    "dagster._core.storage.local_compute_log_manager",
    "dagster._core.storage.runs.sqlite.sqlite_run_storage",
    "dagster._core.storage.schedules.sqlite.sqlite_schedule_storage",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dagster_postgres",
)
