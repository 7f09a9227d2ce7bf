"""One function that gives the whole graph of a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster import AssetSelection, Definitions, define_asset_job
from pydantic import ValidationError

from wine_quality.dagster_support.config_fields import describe_problems
from wine_quality.families.family import Family, find_family
from wine_quality.model_graph.data import parts, raw_data
from wine_quality.model_graph.plan import IO_MANAGER, MlflowSettings, ModelPlan
from wine_quality.model_graph.roles import promotion_job, rollback_job
from wine_quality.model_graph.sweep import SWEEP_TAG
from wine_quality.model_graph.training import (
    champion,
    model_metrics,
    registered_version,
    trained_model,
)
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
    mlflow: MlflowSettings | None = None,
) -> Definitions:
    """All that Dagster needs to train, measure, register and compare a model.

    Assets ``<name>_data``, ``_train``, ``_test``, ``_model``, ``_metrics``, ``_version`` and
    ``_champion`` with their checks; the jobs ``<name>``, ``<name>_sweep``, ``<name>_promotion`` and
    ``<name>_rollback``; the resource ``mlflow``, the executor and the sensor of
    ``MlflowTracking.definitions()``; an IO manager. Definitions of several models with the same
    ``mlflow`` settings can be merged.

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
    selection = AssetSelection.assets(*assets)
    jobs: list[Any] = [
        define_asset_job(name, selection, description=f"Trains, measures and registers {name}."),
        define_asset_job(
            f"{name}_sweep",
            selection,
            description=f"The same, with the best point of a grid: {kind.title}.",
            tags={SWEEP_TAG: "true"},
        ),
        promotion_job(plan),
        rollback_job(plan),
    ]
    own = Definitions(assets=assets, jobs=jobs, resources={"io_manager": IO_MANAGER})
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
