"""``version_comparison``: the best finished run of each MLflow version, side by side."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from dagster import (
    AssetMaterialization,
    AssetSpec,
    Failure,
    MetadataValue,
    OpExecutionContext,
    TableColumn,
    TableRecord,
    TableSchema,
    graph,
    op,
)

from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.servers.links import mlflow_link

if TYPE_CHECKING:
    from wine_quality.comparison.compared_run import ComparedRun

PARAMS = ("alpha", "l1_ratio")
METRICS = ("rmse", "mae", "r2")

# External: the job below makes it. "Materialize all" leaves it out, for its own MLflow run is not
# finished then, and a process for each version takes seconds.
VERSION_COMPARISON = AssetSpec(
    "version_comparison",
    deps=["champion_model"],
    group_name=GROUP,
    kinds={"mlflow"},
    owners=OWNERS,
    description="The best finished run of each MLflow version, side by side. Launch "
    "wine_quality_comparison to look again; `make compare` shows any runs.",
)


@op(config_schema={})  # without one, it would take anything
def compare_versions(context: OpExecutionContext, mlflow: MlflowTracker) -> None:
    """Looks for the finished run with the lowest RMSE in the stores of each MLflow version.

    The experiment is that of the ``mlflow`` resource, whose server is searched too.
    """
    from wine_quality.comparison.collect import NothingToCompareError, best_runs
    from wine_quality.comparison.stores import known_stores, server_store

    settings = mlflow.tracker.settings
    stores = known_stores()
    if settings.tracking_uri not in [store.uri for store in stores]:
        stores.append(server_store(settings.version, settings.tracking_uri))
    try:
        runs, reading = best_runs(stores, settings.experiment_name)
    except NothingToCompareError as error:
        raise Failure(str(error), allow_retries=False) from error
    for store in reading.searched:
        context.log.info(f"Searched: {store}")
    context.log_event(
        AssetMaterialization(VERSION_COMPARISON.key, metadata=shown(runs, settings.experiment_name))
    )


def shown(runs: "Sequence[ComparedRun]", experiment: str) -> dict[str, Any]:
    """Metadata: a table with a row for each run, what differs, and links.

    Args:
        runs: One of each version, at least one.
    """
    from wine_quality.comparison.table import number, remarks, sections, title_of

    best = min(run.metrics["rmse"] for run in runs)
    # The same model has the same error on each version, but for the sixteenth digit.
    holders = [run for run in runs if number(run.metrics["rmse"]) == number(best)]
    differing = [
        f"{row.name} ({section.title})"
        for section in sections(runs)
        for row in section.rows
        if row.differs
    ]
    return {
        "experiment": experiment,
        "best_rmse": best,
        "best_version": ", ".join(map(title_of, holders)),
        "best_run_of_each_version": _table(runs),
        "differs": ", ".join(differing) or "nothing, to nine digits",
        **({"remarks": "\n".join(remarks(runs))} if remarks(runs) else {}),
        **{f"mlflow_run_{run.version}": mlflow_link(run.url) for run in runs},
    }


def _table(runs: "Sequence[ComparedRun]") -> MetadataValue:
    numbers = [TableColumn(name, "float") for name in METRICS]
    texts = [TableColumn(name) for name in (*PARAMS, "registered", "started (UTC)", "run")]
    schema = TableSchema([TableColumn("MLflow"), *numbers, *texts])
    return MetadataValue.table([TableRecord(_record(run)) for run in runs], schema)


def _record(run: "ComparedRun") -> Mapping[str, Any]:
    from wine_quality.comparison.table import when
    from wine_quality.escaping import escaped

    return {
        "MLflow": run.version,
        **{name: run.metrics.get(name) for name in METRICS},
        **{name: escaped(run.params.get(name, "")) for name in PARAMS},
        "registered": escaped("; ".join(run.registered)),
        "started (UTC)": when(run.started),
        "run": run.run_id,
    }


@graph
def comparison() -> None:
    compare_versions()


wine_quality_comparison = comparison.to_job(
    name="wine_quality_comparison",
    description="Shows the best finished run of each MLflow version side by side, as a table of "
    "the asset version_comparison. Reads only.",
)
