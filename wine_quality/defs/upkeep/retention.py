"""The job ``wine_quality_retention``: old runs and versions go, after a look at what would."""

import time
from datetime import datetime, timezone

from dagster import (
    DefaultScheduleStatus,
    MetadataValue,
    OpExecutionContext,
    ScheduleDefinition,
    TableColumn,
    TableRecord,
    TableSchema,
    graph,
    op,
)
from pydantic import Field

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.defs.time_zone import in_time_zone, time_zone
from wine_quality.escaping import escaped
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.upkeep.old_runs import OldRun, Plan, Retention

_DAY = 24 * 3600 * 1000
_SHOWN = 200
_SATURDAY_NIGHT = "0 3 * * 6"


class RetentionConfig(CheckedConfig):
    """The age from which runs are deleted, and whether they are."""

    days: float = Field(
        default=90, ge=1, description="Age in days from which ended runs and versions are old."
    )
    dry_run: bool = Field(
        default=True, description="true: only show what would be removed. false: remove it."
    )
    measured: int = Field(
        default=50,
        ge=0,
        description="Number of runs whose files are measured, at a few requests each, to estimate "
        "the size of all.",
    )


@op
@name_failing_server()
def remove_old(context: OpExecutionContext, config: RetentionConfig, mlflow: MlflowTracker) -> None:
    """Removes old runs of the experiment and unpromoted versions of the model, or shows them.

    Runs are marked as deleted and can be restored (``mlflow runs restore``) until `make gc`
    purges them with their files; versions are deleted.
    """
    tracker = mlflow.tracker
    before = int(time.time() * 1000 - config.days * _DAY)
    retention = Retention(
        tracker.client,
        tracker.open_experiment(),
        mlflow.registered_model_name,
        before,
        context.log.info,
    )
    plan = retention.plan()
    runs = [old for old in plan.runs if old.run_id]
    sizes = [retention.bytes_of(old.run_id) for old in runs[: config.measured]]
    shown = _shown(plan, runs, sizes, config)
    versions = sum(len(old.versions) for old in plan.runs)
    what = f"{len(runs)} of {plan.seen} old-enough runs and {versions} versions"
    if config.dry_run:
        context.log.info(f"A dry run: {what} would go; nothing is removed.")
        removed = (0, 0)
    else:
        context.log.info(f"{what} go …")
        removed = retention.carry_out(plan)
        context.log.info(f"{removed[0]} runs and {removed[1]} versions are removed.")
    context.add_output_metadata(
        {**shown, "removed_runs": removed[0], "removed_versions": removed[1]}
    )


def _shown(
    plan: Plan, runs: list[OldRun], sizes: list[int], config: RetentionConfig
) -> dict[str, object]:
    table = [
        TableRecord(
            {
                "run": old.run_id or "gone",
                "name": escaped(old.name),
                "ended": _date(old.ended),
                "versions": ", ".join(old.versions),
                "children": old.children,
            }
        )
        for old in plan.runs[:_SHOWN]
    ]
    columns = [TableColumn(name) for name in ("run", "name", "ended", "versions")]
    schema = TableSchema([*columns, TableColumn("children", "int")])
    total = round(sum(sizes) / len(sizes) * len(runs)) if sizes else 0
    return {
        "dry_run": config.dry_run,
        "runs": len(runs),
        "children": sum(old.children for old in runs),
        "versions": sum(len(old.versions) for old in plan.runs),
        "kept_runs": plan.seen - len(runs),
        "kept_versions": plan.kept_versions,
        "megabytes": round(total / 1e6, 3),
        "measured_runs": len(sizes),
        "oldest": MetadataValue.table(table, schema),
    }


def _date(milliseconds: int) -> str:
    if not milliseconds:
        return ""
    return datetime.fromtimestamp(milliseconds / 1000, timezone.utc).strftime("%Y-%m-%d %H:%M")


@graph
def retention() -> None:
    remove_old()


wine_quality_retention = retention.to_job(
    name="wine_quality_retention",
    description="Removes old runs, and old versions that were never promoted; by default it only "
    "shows which. It never removes a present or former champion, a challenger, or what another "
    "program made.",
)


def retention_schedule() -> ScheduleDefinition:
    """Weekly, and really removing; stopped until somebody starts it."""
    return ScheduleDefinition(
        name="weekly_retention",
        job=wine_quality_retention,
        cron_schedule=_SATURDAY_NIGHT,
        run_config={"ops": {"remove_old": {"config": {"dry_run": False}}}},
        default_status=DefaultScheduleStatus.STOPPED,
        execution_timezone=time_zone(),
        description=in_time_zone(
            "Removes what is older than 90 days. Launch wine_quality_retention by hand first: it "
            "shows what would go."
        ),
    )


weekly_retention = retention_schedule()
