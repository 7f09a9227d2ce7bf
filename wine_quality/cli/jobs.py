"""The jobs of the commands, as functions: a process that a command starts loads its job by name."""

from dagster import JobDefinition

from wine_quality.definitions import defs


def main_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_model")


def sweep_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_sweep")


def promotion_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_promotion")


def live_check_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_live_check")


def rollback_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_rollback")


def deployment_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_deployment")


def retention_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_retention")


def predictions_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_predictions")


def live_error_job() -> JobDefinition:
    return defs.resolve_job_def("wine_quality_live_error")
