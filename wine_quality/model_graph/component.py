"""A component of Dagster's: a model by YAML."""

from collections.abc import Mapping
from typing import Annotated, Any

from dagster import Definitions
from dagster.components import (
    Component,
    ComponentLoadContext,
    Model,
    Resolvable,
    Resolver,
    Scaffolder,
    ScaffoldRequest,
    scaffold_component,
    scaffold_with,
)
from pydantic import Field

from wine_quality.execution.run_closer import mlflow_run_closer
from wine_quality.model_graph.graph import MlflowSettings, model_definitions
from wine_quality.model_graph.plan import MlflowSettings as _Defaults
from wine_quality.monitoring.drift import THRESHOLD

_SETTINGS = _Defaults()


class MlflowAttributes(Model, Resolvable):
    """MLflow settings of the model: the same for all models of a project, but for the registered
    model."""

    experiment: str = Field(
        default=_SETTINGS.experiment, description="MLflow experiment of the runs."
    )
    registered_model: str = Field(
        default="", description="Registered model. Empty: made of the model's name."
    )
    # As it stands: Dagster's templates make a number of "1.26".
    versions: Annotated[list[str], Resolver.passthrough()] = Field(
        default=list(_SETTINGS.versions),
        description="MLflow versions that run config may pick; the first one is the default.",
    )
    model_format: str = Field(
        default=_SETTINGS.model_format, description="How MLflow 3 writes models: skops or pickle."
    )
    trusted_types: list[str] = Field(
        default=[], description="Full names of further types that a skops model may hold."
    )
    extra_requirements: list[str] = Field(
        default=[], description="What the models need besides scikit-learn, as pip reads it."
    )


class TrackedModelScaffolder(Scaffolder):
    """Writes a component that runs as it stands."""

    def scaffold(self, request: ScaffoldRequest) -> None:
        """``defs.yaml``, of the diabetes data and ridge regression."""
        name = "".join(
            one if one.isalnum() and one.isascii() else "_" for one in request.target_path.name
        ).lower()
        scaffold_component(
            request,
            {
                "name": name if name[:1].isalpha() else f"model_{name}",
                "dataset": "diabetes",
                "family": "ridge",
                "metric": "rmse",
                "mlflow": {"experiment": "models", "versions": list(_SETTINGS.versions)},
            },
        )


@scaffold_with(TrackedModelScaffolder)
class TrackedModelComponent(Component, Model, Resolvable):
    """The whole graph of a model, tracked in MLflow: data, training, metrics, registered version
    and champion, for a data set and a model family.
    """

    name: str = Field(description="Assets and jobs begin with it, such as diabetes.")
    dataset: str = Field(
        description="A data set of the package (diabetes, white_wine), or module:attribute of a "
        "declaration of your own."
    )
    family: str = Field(
        description="A model family of the package (elastic_net, ridge, lasso, random_forest, "
        "gradient_boosting, logistic_regression, lightgbm), or module:attribute of your own."
    )
    source: str = Field(
        default="",
        description="CSV or Parquet file: https://, s3://, file://, or a path, taken from the "
        "folder of the component. Empty: the data set's sample.",
    )
    metric: str = Field(
        default="",
        description="Decides between versions: rmse, mae or r2; auc, accuracy, log_loss or f1. "
        "Empty: rmse or auc.",
    )
    min_improvement: float = Field(
        default=0.0, description="By how much a version must be better to become champion."
    )
    segment_by: str = Field(
        default="",
        description="A text column, of whose values each is a partition and gets a model of its "
        "own.",
    )
    hyperparameters: dict[str, Any] = Field(
        default={}, description="Defaults of run config other than the family's."
    )
    drift_threshold: float = Field(
        default=THRESHOLD,
        description="Population stability index above which a column has drifted from the "
        "champion's training data: the default of run config.",
    )
    mlflow: MlflowAttributes = Field(
        default=MlflowAttributes(), description="Experiment, registered model, versions."
    )

    def build_defs(self, context: ComponentLoadContext) -> Definitions:
        """See ``model_definitions``."""
        beside = context.path / self.source if self.source else None
        is_file = beside is not None and "://" not in self.source and beside.exists()
        found = model_definitions(
            self.name,
            self.dataset,
            self.family,
            source=str(beside) if is_file else self.source,
            metric=self.metric,
            min_improvement=self.min_improvement,
            segment_by=self.segment_by,
            hyperparameters=self.hyperparameters,
            drift_threshold=self.drift_threshold,
            mlflow=_settings(self.mlflow.model_dump()),
        )
        # Dagster copies a component's sensors, and takes the copies of the one that models share
        # for several.
        if _first_model(context) in (None, self.name):
            return found
        return Definitions(
            assets=found.assets,
            asset_checks=found.asset_checks,
            jobs=found.jobs,
            sensors=[one for one in found.sensors or [] if one is not mlflow_run_closer],
            resources=found.resources,
            executor=found.executor,
        )


def _first_model(context: ComponentLoadContext) -> str | None:
    """The name of the first model in the project; None for a component that is loaded by itself
    (``build_defs_for_component``), whose tree has no folder to search."""
    try:
        models = context.component_tree.get_all_components(TrackedModelComponent)
    except ImportError:
        return None
    return models[0].name if models else None


def _settings(given: Mapping[str, Any]) -> MlflowSettings:
    plain: dict[str, Any] = {
        name: tuple(one) if isinstance(one, list) else one for name, one in given.items()
    }
    return MlflowSettings(**plain)
