"""The plan of a model's graph: data set, family and settings, checked once."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Any

from dagster import StaticPartitionsDefinition

from wine_quality.engines.resource import TrainingEngine
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.families.family import Family, types_of_families
from wine_quality.families.metrics import TaskMetric, find_metric
from wine_quality.metrics_history.resource import MetricsHistory
from wine_quality.monitoring.drift import THRESHOLD
from wine_quality.policy.names import check_model_name
from wine_quality.tables.dataset import Dataset, DeclarationError
from wine_quality.tracking_api import Metric, MlflowTracking, PlainIOManager

if TYPE_CHECKING:
    from pydantic import BaseModel

_NAME = re.compile(r"[a-z][a-z0-9_]*")
IO_MANAGER, METRICS_HISTORY = PlainIOManager(), MetricsHistory()
TRAINING_ENGINE = TrainingEngine()
"""One for all graphs of a project: Dagster merges definitions whose resources are the same."""


@dataclass(frozen=True)
class MlflowSettings:
    """MLflow settings of a model: the same for all of a project, but for the registered model.

    Attributes:
        experiment: MLflow experiment of the runs; empty: ``models``.
        registered_model: The one that gets the versions; empty: made of the model's name.
        versions: MLflow versions that run config may pick; the first one is the default.
        model_format: How MLflow 3 writes models: ``skops`` or ``pickle``.
        trusted_types: Full names of further types that a skops model may hold.
        extra_requirements: Packages that the models need besides scikit-learn, as pip reads them.
    """

    experiment: str = "models"
    registered_model: str = ""
    versions: tuple[str, ...] = tuple(MLFLOW_VERSIONS)[::-1]
    model_format: str = "skops"
    trusted_types: tuple[str, ...] = ()
    extra_requirements: tuple[str, ...] = ()


@lru_cache(maxsize=64)
def shared_tracking(
    experiment: str,
    versions: tuple[str, ...],
    model_format: str,
    trusted_types: tuple[str, ...],
    extra_requirements: tuple[str, ...],
) -> MlflowTracking:
    """The tracking of all models with these settings, so that their definitions can be merged."""
    return MlflowTracking(
        experiment=experiment,
        registered_model=None,
        versions=versions,
        model_format=model_format,
        trusted_types=trusted_types,
        extra_requirements=extra_requirements,
    )


@dataclass(frozen=True, eq=False)
class ModelPlan:
    """One model's graph.

    Attributes:
        name: Assets and jobs begin with it: lower-case letters, digits and underscores.
        source: Default of run config; empty: the data set's sample.
        metric_name: The metric that decides between versions; empty: the task's default.
        segment_by: A text column, of whose values each gets a model of its own; empty: one model.
        hyperparameters: Defaults of run config other than the family's own.
        sweep_folds: Of the cross-validation in a sweep.
        drift_threshold: Default of run config: the population stability index above which a column
            has drifted from the champion's training data.
    """

    name: str
    dataset: Dataset
    family: Family
    mlflow: MlflowSettings = field(default_factory=MlflowSettings)
    source: str = ""
    metric_name: str = ""
    min_improvement: float = 0.0
    segment_by: str = ""
    hyperparameters: BaseModel | None = None
    sweep_folds: int = 5
    drift_threshold: float = THRESHOLD

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise DeclarationError(
                f"{self.name!r} cannot name a model: assets begin with it, so it has lower-case "
                "letters, digits and underscores, a letter first"
            )
        self.family.require_task(self.dataset.task)
        find_metric(self.dataset.task, self.metric_name)
        check_model_name(self.registered_model, f"{self.name}: registered_model")
        if self.drift_threshold <= 0:
            raise DeclarationError(f"{self.name}: drift_threshold must be more than 0")
        if self.segment_by:
            self.dataset.segments(self.segment_by)

    @property
    def registered_model(self) -> str:
        return self.mlflow.registered_model or self.name.title().replace("_", "") + "Model"

    def registered_name(self, given: str, segment: str | None) -> str:
        """The name of the registered model.

        Args:
            given: Name in run config; empty: the plan's.
            segment: The segment whose model it is; None: there is one model for all rows.
        """
        name = given or self.registered_model
        return name if segment is None else f"{name}-{segment}"

    @property
    def metric(self) -> Metric:
        name, kind = find_metric(self.dataset.task, self.metric_name)
        return Metric(name, kind.higher_is_better, self.min_improvement)

    @property
    def scoring(self) -> TaskMetric:
        return find_metric(self.dataset.task, self.metric_name)[1]

    @cached_property
    def tracking(self) -> MlflowTracking:
        """The tracking, shared with the other models of the project that are tracked alike."""
        given = self.mlflow
        return shared_tracking(
            given.experiment,
            tuple(given.versions),
            given.model_format,
            tuple(dict.fromkeys([*types_of_families(), *_own_types(self), *given.trusted_types])),
            tuple(dict.fromkeys([*_own_requirements(self), *given.extra_requirements])),
        )

    @cached_property
    def partitions(self) -> StaticPartitionsDefinition | None:
        if not self.segment_by:
            return None
        return StaticPartitionsDefinition(list(self.dataset.segments(self.segment_by)))

    @property
    def options(self) -> dict[str, Any]:
        """Arguments of each asset in the graph: its group and its partitions."""
        return {"group_name": self.name, "partitions_def": self.partitions}


def _own_types(plan: ModelPlan) -> Sequence[str]:
    return plan.family.trusted_types


def _own_requirements(plan: ModelPlan) -> Sequence[str]:
    return plan.family.requirements
