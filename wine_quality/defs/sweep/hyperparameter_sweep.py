"""The job ``wine_quality_sweep``: which alpha and l1_ratio, by cross-validation.

One MLflow run holds the sweep, with a child run for each point; the best point is trained on the
whole training part in it, registered, and challenges the champion.
"""

from typing import Any

from dagster import (
    AssetCheckResult,
    AssetCheckSeverity,
    AssetMaterialization,
    AssetSpec,
    Failure,
    MetadataValue,
    OpExecutionContext,
    TableRecord,
    graph,
    op,
)

from wine_quality.defs.champion.champion_model import challenge
from wine_quality.defs.data.arrival_tags import arrived_at, data_tags
from wine_quality.defs.data.raw_wine_csv import check_left_out
from wine_quality.defs.data.train_test_split import check_split
from wine_quality.defs.data.wine_files import note_accepted
from wine_quality.defs.model import training_steps, trend
from wine_quality.defs.model.training_identity import require_same_split
from wine_quality.defs.model.values import BestPoint
from wine_quality.defs.ownership import GROUP, OWNERS
from wine_quality.defs.sweep.config import OfferConfig, SweepConfig, SweepDataConfig
from wine_quality.engines.resource import TrainingEngine
from wine_quality.history.wine_history import WineHistory
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.monitoring.shown_plots import show_plots
from wine_quality.tracking.resource import MlflowTracker
from wine_quality.tracking.runs.child_runs import ChildRun
from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.servers.server_check import name_failing_server
from wine_quality.tracking.step_tags import opens_mlflow_run
from wine_quality.wines.loading import WinesRefusedError
from wine_quality.wines.reader import wines_reader
from wine_quality.wines.split import Split

_SOLVER_SEED = 42
_TOP = 10

# Not materialized by itself, so "Materialize all" has no part in it.
hyperparameter_sweep = AssetSpec(
    "hyperparameter_sweep",
    group_name=GROUP,
    owners=OWNERS,
    kinds={"scikitlearn", "mlflow"},
    description="The cross-validated errors of the latest sweep. Launch the job "
    "wine_quality_sweep to make another.",
)


@op
def sweep_data(
    context: OpExecutionContext,
    config: SweepDataConfig,
    wine_history: WineHistory,
    training_engine: TrainingEngine,
):
    """The wines in two parts, as raw_wine_csv and train_test_split make them."""
    arrived = arrived_at(context.run_tags, config.csv_url) if config.csv_url else None
    reader, say = wines_reader(training_engine, wine_history), context.log.info
    try:
        wines = reader.load(config, say, arrived)
        check_left_out(wines, context.log.warning)
        done = reader.split(wines, config.test_fraction, config.seed, say, arrived)
    except WinesRefusedError as error:
        raise Failure(str(error), allow_retries=False) from error
    data = done.split.data
    tags = data_tags(data.source or "", data.data_sha256 or "", wines.file_sha256)
    context.instance.add_run_tags(context.run_id, tags)
    accepted = [*wines.accepted, *done.accepted]
    for event in note_accepted(context.instance, wines.keys | done.keys, accepted):
        context.log_event(event)
    rows = done.split.train_rows + done.split.test_rows
    context.add_output_metadata({"source": data.source, "rows": rows})
    _require(context, *check_split(done, config))
    return done.split


@op(tags=opens_mlflow_run())
@name_failing_server(retry_step=True)
def sweep_points(
    context: OpExecutionContext, config: SweepConfig, mlflow: MlflowTracker, sweep_data: Split
) -> BestPoint:
    """Cross-validates every point on the training part; one child run each."""
    from wine_quality.models import plots
    from wine_quality.models.elastic_net.sweep_points import Point, best_of, check_points, grid

    asked = [Point(point.alpha, point.l1_ratio) for point in config.points]
    try:
        points = check_points(asked or grid(config.alphas, config.l1_ratios))
    except ValueError as error:
        raise Failure(str(error), allow_retries=False) from error
    split, tracker = sweep_data, mlflow.begin_run(context)
    rows = split.train_rows
    context.log.info(f"{len(points)} points, {config.folds} folds of {rows} training rows …")
    try:
        scores = split.cross_validate(points, config.folds, config.fold_seed)
    except ValueError as error:
        raise Failure(str(error), allow_retries=False) from error
    best = best_of(scores)
    context.log.info(f"The best is {best.point}: RMSE {best.mean:.6f} ± {best.std:.6f}.")
    tracker.log_params(
        {
            "sweep_points": len(points),
            "sweep_folds": config.folds,
            "sweep_fold_seed": config.fold_seed,
        }
    )
    children = tracker.child_runs()
    child_runs = mlflow_link(tracker.experiment_url(children.experiment_id))
    with children.writing(map(_child, scores), context.log.info):
        large = plots.sweep_errors(scores, best)
        drawn = show_plots(tracker, {"sweep": (large, _small(scores))}, "sweep_plot")
        tracker.log_table("sweep/points.csv", _table(scores))
    tracker.log_metrics({"cv_rmse": best.mean, "cv_rmse_std": best.std})
    ranked = sorted(scores, key=lambda score: score.mean)
    shown = {
        "points": len(points),
        "folds": config.folds,
        "train_rows": rows,
        "best_alpha": best.point.alpha,
        "best_l1_ratio": best.point.l1_ratio,
        "cv_rmse": best.mean,
        "cv_rmse_std": best.std,
        **drawn,
        "best_points": MetadataValue.table([TableRecord(_row(score)) for score in ranked[:_TOP]]),
        "data_sha256": split.data.data_sha256,
        "mlflow_run": mlflow_link(tracker.run_url),
        "mlflow_child_runs": child_runs,
    }
    context.log_event(AssetMaterialization(hyperparameter_sweep.key, metadata=shown))
    context.add_output_metadata(shown)
    return BestPoint(
        alpha=best.point.alpha,
        l1_ratio=best.point.l1_ratio,
        points=len(points),
        mlflow_run_id=tracker.require_run_id(),
        mlflow_version=mlflow.version.value,
        training=tracker.require_training(),
        data=split.data,
    )


def _child(score: Any) -> ChildRun:
    return ChildRun(
        name=str(score.point),
        params=score.point._asdict(),
        metrics={
            "cv_rmse": [score.mean],
            "cv_rmse_std": [score.std],
            "fold_rmse": score.fold_rmse,
        },
    )


def _small(scores: list[Any]) -> str:
    """The lowest error at each alpha, in the order of alpha."""
    from wine_quality.models import small_plots

    lowest: dict[float, float] = {}
    for score in scores:
        alpha = score.point.alpha
        lowest[alpha] = min(score.mean, lowest.get(alpha, score.mean))
    alphas = sorted(lowest)
    errors = [lowest[alpha] for alpha in alphas]
    first, last = f"lowest cv_rmse at alpha {alphas[0]:.3g}", f"{alphas[-1]:.3g}"
    # Some 10 characters a point: of a long list, as many as can be distinguished at this size.
    step = -(-len(alphas) // 50)
    best = errors.index(min(errors))
    shown = sorted({*range(0, len(errors), step), best, len(errors) - 1})
    return small_plots.line([errors[n] for n in shown], first, last, [shown.index(best)])


def _row(score: Any) -> dict[str, float]:
    return {**score.point._asdict(), "cv_rmse": score.mean, "cv_rmse_std": score.std}


def _table(scores: list[Any]) -> list[dict[str, float]]:
    folds = [{f"fold_{n}": rmse for n, rmse in enumerate(s.fold_rmse)} for s in scores]
    return [{**_row(score), **fold} for score, fold in zip(scores, folds, strict=True)]


@op
@name_failing_server(retry_step=True)
def offer_best(
    context: OpExecutionContext,
    config: OfferConfig,
    mlflow: MlflowTracker,
    metrics_history: MetricsHistory,
    training_engine: TrainingEngine,
    sweep_data: Split,
    sweep_points: BestPoint,
) -> None:
    """Trains the best point on the whole training part, registers it, and has it challenge."""
    training_steps.require_same_version(mlflow, sweep_points, "sweep_points")
    split = sweep_data
    # Steps may be re-executed one by one, with other wines than those of the sweep.
    require_same_split(sweep_points.data, split.data, "sweep_points")
    tracker = mlflow.continue_run(context, sweep_points.its_training)
    picked = (sweep_points.alpha, sweep_points.l1_ratio, _SOLVER_SEED)
    model = training_steps.fit_and_log(mlflow, split, picked, config.drift_threshold)
    evaluated = training_steps.evaluate_and_log(tracker, split, model.value, training_engine.open)
    _require(context, *model.checks, *evaluated.checks)
    metrics = evaluated.value.metrics
    shown = trend.log_trend(mlflow, metrics_history, model.value, metrics, context.log.warning)
    version = training_steps.register(mlflow, model.value, metrics, context.run_id)
    kept = trend.keep(mlflow, metrics_history, model.value, metrics, version, context.log)
    name = mlflow.registered_model_name
    decision = challenge(
        context,
        config,
        tracker,
        tracker.registry(name),
        version,
        model.value.model,
        split,
    )
    context.log.info(decision.reason)
    _require(context, decision.check(config.tolerance))
    context.add_output_metadata(
        {
            **model.metadata,
            **evaluated.metadata,
            **shown,
            **kept,
            **decision.metadata(),
            "experiment": tracker.experiment_name,
            "name": name,
            "version": version,
            "mlflow_run_id": tracker.require_run_id(),
            "model_version": mlflow_link(tracker.model_version_url(name, version)),
        }
    )


def _require(context: OpExecutionContext, *results: AssetCheckResult) -> None:
    """Report checks as an asset would; one that is more than a warning stops the sweep."""
    for result in results:
        message = f"{result.check_name}: {result.description}"
        if result.passed:
            context.log.info(message)
        elif result.severity == AssetCheckSeverity.WARN:
            context.log.warning(message)
        else:
            raise Failure(f"Nothing is registered. {message}", allow_retries=False)


@graph
def sweep() -> None:
    data = sweep_data()
    offer_best(data, sweep_points(data))


wine_quality_sweep = sweep.to_job(
    name="wine_quality_sweep",
    description="Cross-validates a grid or list of (alpha, l1_ratio) and offers the best as the "
    "challenger; one MLflow run, with a child run for each point.",
)
