"""The assets of the model: trained, measured, registered, held against the champion."""

from typing import TYPE_CHECKING, Any

from dagster import (
    AssetCheckResult,
    AssetCheckSpec,
    AssetExecutionContext,
    AssetIn,
    AssetsDefinition,
    MaterializeResult,
    asset,
)
from pydantic import Field, create_model

from wine_quality.dagster_support.config_fields import CheckedConfig
from wine_quality.engines.resource import TrainingEngine
from wine_quality.families.metrics import BASELINE
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.model_graph.plan import ModelPlan
from wine_quality.model_graph.rows import rows_of
from wine_quality.model_graph.sweep import SWEEP_TAG, search
from wine_quality.monitoring.drift import check_drift, drift_check, drift_field
from wine_quality.monitoring.trend import keep, log_trend
from wine_quality.tracking_api import (
    ChampionDecision,
    LoggedMetrics,
    RegisteredVersion,
    TrackedModel,
    TrackedRun,
)

if TYPE_CHECKING:
    from pydantic import BaseModel

_BEATS = "beats_knowing_nothing"
DATA_TAG = "data_sha256"


def _config_class(plan: ModelPlan) -> Any:
    """The family's hyperparameters as run config, with their ranges."""
    given = plan.hyperparameters or plan.family.hyperparameters()
    fields: dict[str, Any] = {}
    for name, one in plan.family.hyperparameters.model_fields.items():
        field = one._copy() if hasattr(one, "_copy") else one
        field.default = getattr(given, name)
        fields[name] = (one.annotation, field)
    return create_model(
        f"{plan.name}_hyperparameters",
        __base__=CheckedConfig,
        **fields,
        drift_threshold=(float, drift_field(plan.drift_threshold)),
        sweep=(
            bool,
            Field(
                default=False,
                description=f"Try each point of the grid ({_shown_grid(plan)}) by cross-validation "
                f"first, in MLflow runs below that of the training. {plan.name}_sweep does so.",
            ),
        ),
    )


def _shown_grid(plan: ModelPlan) -> str:
    return "; ".join(
        f"{name} {', '.join(map(str, values))}" for name, values in plan.family.grid.items()
    )


def segment_of(context: AssetExecutionContext) -> str | None:
    """The segment of this run's model; None where there is one model for all rows."""
    return context.partition_key if context.has_partition_key else None


def data_of(run: TrackedRun) -> str:
    """``rows_sha256`` of what the model of the run was trained on."""
    return str(run.client.get_run(run.run_id).data.tags.get(DATA_TAG, ""))


def trained_model(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_model``: fitted on the training rows, in an MLflow run of its own."""
    config_class: Any = _config_class(plan)
    family, target = plan.family, plan.dataset.target

    @asset(
        name=f"{plan.name}_model",
        ins={"train": AssetIn(f"{plan.name}_train")},
        kinds={"scikitlearn", "mlflow"},
        description=f"A model of the kind {family.title}, fitted on the training rows.",
        check_specs=[drift_check(f"{plan.name}_model")],
        **plan.options,
    )
    @plan.tracking.trains
    def model(
        run: TrackedRun,
        context: AssetExecutionContext,
        config: config_class,
        training_engine: TrainingEngine,
        train: Any,
    ):  # Dagster takes the annotation for that of all outputs, the checks' too
        import numpy as np

        from wine_quality.models.compare import profile, profile_of

        rows = rows_of(plan, train, "train", training_engine)
        names = family.hyperparameters.model_fields
        point: BaseModel = family.hyperparameters(**{one: getattr(config, one) for one in names})
        if config.sweep or context.run.tags.get(SWEEP_TAG) == "true":
            point = search(plan, run, point, rows)
        run.log_params(
            {
                "family": family.name,
                **point.model_dump(),
                "train_rows": rows.count,
                "target": target,
                "training_engine": training_engine.engine.value,
            }
        )
        segment = segment_of(context)
        run.set_tags(
            {
                "dataset": plan.dataset.name,
                DATA_TAG: rows.sha256(),
                **({"segment": segment} if segment else {}),
            }
        )
        shown = rows.shown
        run.log_dataset(shown, plan.dataset.name, target=target)
        fitted = rows.fit(point)
        features = shown.drop(columns=target)
        predictions = profile_of(np.asarray(fitted.predict(features), dtype=float))
        record = {"profile": profile(shown), "predictions": predictions}
        name = plan.registered_name(run.registered_model, segment)
        drift = check_drift(run.tracker, name, shown, config.drift_threshold, context.log.warning)
        logged = run.log_model(fitted, example=features.head(2), record=record)
        return MaterializeResult(value=logged, check_results=[drift])

    return model


def model_metrics(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_metrics``: on the rows held out, beside those of a model that knows nothing."""
    metric, task, target = plan.metric, plan.dataset.task, plan.dataset.target

    @asset(
        name=f"{plan.name}_metrics",
        ins={
            "model": AssetIn(f"{plan.name}_model"),
            "train": AssetIn(f"{plan.name}_train"),
            "test": AssetIn(f"{plan.name}_test"),
        },
        kinds={"mlflow"},
        description="Metrics and plots on the rows held out.",
        check_specs=[
            AssetCheckSpec(
                _BEATS,
                asset=f"{plan.name}_metrics",
                blocking=True,
                description=f"Its {metric.name} is better than that of a model which knows the "
                "training target alone: its mean, or the shares of its classes.",
            )
        ],
        **plan.options,
    )
    @plan.tracking.continues(f"{plan.name}_model")
    def metrics(
        run: TrackedRun,
        context: AssetExecutionContext,
        metrics_history: MetricsHistory,
        training_engine: TrainingEngine,
        model: TrackedModel,
        train: Any,
        test: Any,
    ):  # Dagster takes the annotation for that of all outputs, the checks' too
        from wine_quality.families.family import Measured
        from wine_quality.families.plots import draw

        fitted, rows = model.load(), rows_of(plan, test, "test", training_engine)
        found = rows.measure(fitted)
        mine = found[metric.name]
        theirs = rows.baseline(rows_of(plan, train, "train", training_engine))[metric.name]
        shown = rows.shown
        measured = Measured(fitted, shown.drop(columns=target), shown[target], target)
        for name, figure in {**draw(task, measured), **plan.family.draw(measured)}.items():
            run.log_figure(figure, f"plots/{name}.png")
        logged = run.log_metrics({**found, f"{BASELINE}{metric.name}": theirs})
        name = plan.registered_name(run.registered_model, segment_of(context))
        trend = log_trend(
            *(run.tracker, metrics_history, name, metric.name, mine),
            *(data_of(run), context.log.warning),
        )
        is_better = mine > theirs if metric.higher_is_better else mine < theirs
        text = f"{metric.name} {mine:.6g}; of a model that knows nothing {theirs:.6g}."
        return MaterializeResult(
            value=logged,
            metadata=trend,
            check_results=[AssetCheckResult(check_name=_BEATS, passed=is_better, description=text)],
        )

    return metrics


def registered_version(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_version``: of the registered model."""

    @asset(
        name=f"{plan.name}_version",
        ins={
            "model": AssetIn(f"{plan.name}_model"),
            "metrics": AssetIn(f"{plan.name}_metrics"),
        },
        kinds={"mlflow"},
        description=f"A version of {plan.registered_model}"
        + (f", of each {plan.segment_by} one of its own." if plan.segment_by else "."),
        **plan.options,
    )
    @plan.tracking.continues(f"{plan.name}_model")
    def version(
        run: TrackedRun,
        context: AssetExecutionContext,
        metrics_history: MetricsHistory,
        model: TrackedModel,
        metrics: LoggedMetrics,
    ) -> RegisteredVersion:
        segment = segment_of(context)
        name = plan.registered_name(run.registered_model, segment)
        own = {one: value for one, value in metrics.items() if not one.startswith(BASELINE)}
        registered = run.register(
            model,
            own,
            name=name,
            tags={"family": plan.family.name, **({"segment": segment} if segment else {})},
            description=plan.dataset.description,
        )
        kept = keep(
            *(run.tracker, metrics_history, name, registered.version, own),
            *(data_of(run), context.log),
        )
        context.add_output_metadata(kept)
        return registered

    return version


def champion(plan: ModelPlan) -> AssetsDefinition:
    """``<name>_champion``: the better one of the new version and the champion."""
    metric = plan.metric

    @asset(
        name=f"{plan.name}_champion",
        ins={
            "version": AssetIn(f"{plan.name}_version"),
            "test": AssetIn(f"{plan.name}_test"),
        },
        kinds={"mlflow"},
        description=f"The version whose {metric.name} on the rows held out is best becomes the "
        "champion; all are measured on the same rows.",
        **plan.options,
    )
    @plan.tracking.continues(f"{plan.name}_model")
    def decision(
        run: TrackedRun, training_engine: TrainingEngine, version: RegisteredVersion, test: Any
    ) -> ChampionDecision:
        rows = rows_of(plan, test, "test", training_engine)
        return run.challenge(
            version,
            score=lambda model: rows.measure(model)[metric.name],
            metric=metric,
        )

    return decision
