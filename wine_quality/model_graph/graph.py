"""One function that gives the whole graph of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetSelection, Definitions, define_asset_job
from pydantic import ValidationError, create_model

from wine_quality.dagster_support.config_fields import describe_problems
from wine_quality.families.family import Family, find_family
from wine_quality.model_graph.data import parts, raw_data
from wine_quality.model_graph.plan import (
    IO_MANAGER,
    METRICS_HISTORY,
    TRAINING_ENGINE,
    MlflowSettings,
    ModelPlan,
)
from wine_quality.model_graph.predictions import (
    batch_predictions,
    live_error,
    live_error_retraining,
    prediction_jobs,
)
from wine_quality.model_graph.roles import (
    model_of,
    promotion_job,
    rollback_job,
    segment_or_partition,
    segment_or_partition_field,
)
from wine_quality.model_graph.sweep import SWEEP_TAG
from wine_quality.model_graph.training import (
    champion,
    model_metrics,
    registered_version,
    trained_model,
)
from wine_quality.monitoring.drift import THRESHOLD
from wine_quality.monitoring.live_checks import LiveCheckConfig, live_checks
from wine_quality.tables.dataset import Dataset, DeclarationError, find_dataset

__all__ = ["MlflowSettings", "model_definitions"]


def model_definitions(
    name: str,
    dataset: str | Dataset,
    family: str | Family,
    *,
    source: str = "",
    metric: str = "",
    min_improvement: float = 0.0,
    segment_by: str = "",
    hyperparameters: Mapping[str, Any] | None = None,
    drift_threshold: float = THRESHOLD,
    mlflow: MlflowSettings | None = None,
) -> Definitions:
    """All that Dagster needs to train, measure, register and compare a model.

    Assets ``<name>_data``, ``_train``, ``_test``, ``_model``, ``_metrics``, ``_version`` and
    ``_champion`` with their checks, and ``<name>_predictions``, which is no part of a training; the
    jobs ``<name>``, ``<name>_sweep``, ``<name>_promotion``, ``<name>_rollback``,
    ``<name>_live_check``, ``<name>_scoring`` and ``<name>_live_error``; the sensor
    ``<name>_live_error_retraining``, which is stopped; the resource ``mlflow``, the executor and
    the sensor of ``MlflowTracking.definitions()``; the resources
    ``metrics_history`` and ``training_engine``, and an IO manager.
    Definitions of several models with the same ``mlflow`` settings can be merged.

    Args:
        name: Assets and jobs begin with it: lower-case letters, digits and underscores.
        dataset: A declaration, the name of one of the package's, or ``module:attribute``.
        family: The same of a model family.
        source: Default of run config: ``https://``, ``s3://``, ``file://`` or a path. Empty: the
            sample of the data set.
        metric: Which decides between versions; empty: the task's default (rmse, auc).
        min_improvement: By how much a version must be better to become champion.
        segment_by: A text column. Each of its values is a partition, with a registered model
            ``<registered model>-<value>`` of its own.
        hyperparameters: Defaults of run config other than the family's.
        drift_threshold: Default of run config: the population stability index above which a column
            has drifted from the champion's training data.
        mlflow: Experiment, registered model, versions and packages.

    Raises:
        DeclarationError: a name is not known, or two that do not go together.
        BadNameError: the experiment's or registered model's name cannot be used.
    """
    kind = find_family(family) if isinstance(family, str) else family
    plan = ModelPlan(
        name=name,
        dataset=find_dataset(dataset) if isinstance(dataset, str) else dataset,
        family=kind,
        mlflow=mlflow or MlflowSettings(),
        source=source,
        metric_name=metric,
        min_improvement=min_improvement,
        segment_by=segment_by,
        hyperparameters=_hyperparameters(name, kind, hyperparameters or {}),
        drift_threshold=drift_threshold,
    )
    assets = [
        make(plan)
        for make in (
            raw_data,
            parts,
            trained_model,
            model_metrics,
            registered_version,
            champion,
        )
    ]
    config_class: Any = create_model(
        f"{name}_live_check", __base__=LiveCheckConfig, **segment_or_partition_field(plan)
    )
    checks = live_checks(
        f"{name}_champion",
        plan.dataset.features,
        lambda run, mlflow, config: model_of(plan, mlflow, segment_or_partition(config, run)),
        config_class,
    )
    live = AssetSelection.checks(*checks)
    predictions, of_predictions = batch_predictions(plan), live_error(plan)
    selection = AssetSelection.assets(*assets) - live
    jobs: list[Any] = [
        define_asset_job(name, selection, description=f"Trains, measures and registers {name}."),
        define_asset_job(
            f"{name}_sweep",
            selection,
            description=f"The same, with the best point of a grid: {kind.title}.",
            tags={SWEEP_TAG: "true"},
        ),
        define_asset_job(
            f"{name}_live_check",
            live,
            description="Compares what is asked of the model and what it answers with its training "
            "data, by the metrics database.",
        ),
        promotion_job(plan),
        rollback_job(plan),
        *prediction_jobs(plan, predictions, of_predictions),
    ]
    own = Definitions(
        assets=[*assets, predictions],
        asset_checks=[*checks, of_predictions],
        jobs=jobs,
        sensors=[live_error_retraining(plan)],
        resources={
            "io_manager": IO_MANAGER,
            "metrics_history": METRICS_HISTORY,
            "training_engine": TRAINING_ENGINE,
        },
    )
    return Definitions.merge(own, plan.tracking.definitions())


def _hyperparameters(name: str, family: Family, given: Mapping[str, Any]) -> Any:
    unknown = sorted(set(given) - set(family.hyperparameters.model_fields))
    if unknown:
        raise DeclarationError(
            f"{name}: {family.title} has no hyperparameters {', '.join(unknown)}; it has "
            f"{', '.join(family.hyperparameters.model_fields)}"
        )
    try:
        return family.hyperparameters(**given)
    except ValidationError as error:
        raise DeclarationError(f"{name}: {'; '.join(describe_problems(error))}") from error
