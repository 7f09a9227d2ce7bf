"""MLflow tracking of one Dagster project."""

import enum
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, ClassVar, TypeVar

from dagster import Definitions
from pydantic import Field

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MlflowVersion, get_version
from wine_quality.execution.executor import mlflow_environment_executor
from wine_quality.execution.run_closer import mlflow_run_closer
from wine_quality.policy.names import check_experiment_name, check_model_name
from wine_quality.tracking.client import TrackingSettings
from wine_quality.tracking.connection import pin_installed
from wine_quality.tracking.registry.contest import Metric
from wine_quality.tracking.resource import MlflowTracker, ModelFormat
from wine_quality.tracking.step_tags import continues_mlflow_run_of, opens_mlflow_run
from wine_quality.tracking_api.autologging import Autolog
from wine_quality.tracking_api.steps import RESOURCE, tracked_step

_Function = TypeVar("_Function", bound=Callable[..., Any])

SKLEARN_TREES = (
    "sklearn.tree._tree.Tree",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
"""Types in scikit-learn's forests and gradient boosting that skops does not trust by itself."""


class MlflowTracking:
    """MLflow tracking of a Dagster project's training.

    Make one, put ``trains`` and ``continues`` below the decorators of the assets, and merge
    ``definitions()`` into the project's. Run config names the MLflow version of a run,
    ``resources.mlflow.config.version``; the steps then run with that version's own client, in its
    own environment.

    Attributes:
        metric: Which decides between versions; None: nobody is made champion.
        description: Of the registered model, where this makes it.
    """

    def __init__(
        self,
        experiment: str,
        registered_model: str | None,
        versions: Sequence[str] = tuple(MLFLOW_VERSIONS)[::-1],
        metric: Metric | None = None,
        model_format: str = "skops",
        trusted_types: Sequence[str] = SKLEARN_TREES,
        extra_requirements: Sequence[str] = (),
        description: str = "",
    ) -> None:
        """Names and choices are checked at once; servers are asked when a run begins.

        Args:
            experiment: MLflow experiment that the runs go to.
            registered_model: That gets the versions. None: several models are trained, and
                ``run.register(model, name=…)`` names the one that a version is of.
            versions: MLflow versions that run config may pick; the first one is the default.
            metric: Which decides between versions.
            model_format: How MLflow 3 writes models: ``skops``, or ``pickle``, which runs code
                when it is loaded. The older versions write pickles.
            trusted_types: Full names of the types that a skops model may hold besides those that
                skops trusts by itself.
            extra_requirements: What a model needs besides the packages of the lock files, as pip
                reads it. It goes into the logged model.
            description: Of the registered model.

        Raises:
            ValueError: a version is not known, or a name cannot be used.
        """
        if not versions:
            raise ValueError(f"versions is empty; there are {', '.join(MLFLOW_VERSIONS)}")
        self.metric, self.description = metric, description
        self._resource = _resource_class(
            [get_version(key).key for key in versions],
            tuple(trusted_types),
            tuple(extra_requirements),
            registered_model is None,
        )(
            experiment_name=check_experiment_name(experiment, "experiment"),
            registered_model_name=""
            if registered_model is None
            else check_model_name(registered_model, "registered_model"),
            model_format=ModelFormat(model_format),
        )

    def trains(self, function: _Function) -> _Function:
        """Decorate the function of an asset or op that trains a model: it opens an MLflow run.

        Write it below Dagster's own decorator. The function has a parameter ``run: TrackedRun``.
        The MLflow run is opened when the Dagster run begins, ends with it, and is gone on with
        when that is re-executed from failure. A step that fails because the MLflow server was away
        is tried again.

        Raises:
            TypeError: the function has no such parameter, or is a generator.
        """
        return tracked_step(self, opens_mlflow_run(), function)  # type: ignore[return-value]

    def continues(self, asset: str) -> Callable[[_Function], _Function]:
        """Decorate the function of an asset or op that goes on with the MLflow run of another.

        It takes what that asset returned (such as a ``TrackedModel``), which names the run. When it
        is materialized by itself, later, it writes to that same run, with the same MLflow version.

        Args:
            asset: The key of the asset that trains, parts separated by slashes.
        """
        tags = continues_mlflow_run_of(asset)
        return lambda function: tracked_step(self, tags, function)  # type: ignore[return-value]

    def resource(self) -> MlflowTracker:
        """The resource for the key ``mlflow``."""
        return self._resource

    def definitions(self) -> Definitions:
        """The resource, the executor that picks the environment, and the sensor that closes runs
        which their own process could not; to be merged into the project's definitions."""
        return Definitions(
            resources={RESOURCE: self._resource},
            executor=mlflow_environment_executor,
            sensors=[mlflow_run_closer],
        )


def _resource_class(
    versions: Sequence[str], trusted: tuple[str, ...], extra: tuple[str, ...], has_several: bool
) -> type[MlflowTracker]:
    """The class of the project's ``mlflow`` resource. Dagster makes a run's resource anew from its
    class and config: fields that config leaves out have the class's defaults."""
    version_key = enum.Enum("VersionKey", {key: key for key in versions})  # type: ignore[misc]
    offered = ", ".join(f'"{key}"' for key in versions)

    class ProjectTracker(MlflowTracker):
        """Tracks each run in MLflow with the client of the version picked."""

        version: version_key = Field(  # type: ignore[valid-type,assignment]
            default=version_key(versions[0]),
            description=f"MLflow version to track with; its own client runs. One of: {offered}",
        )
        autolog: Autolog = Field(
            default=Autolog.off,
            description='What MLflow logs by itself while a step runs: "off" (in quotes: a bare '
            'off is false to YAML), "sklearn", or "all" libraries that it knows.',
        )
        project_types: ClassVar[tuple[str, ...]] = trusted
        project_requirements: ClassVar[tuple[str, ...]] = extra

        def _check_model_name(self, field: str) -> None:
            if self.registered_model_name or not has_several:
                super()._check_model_name(field)

        def _settings(self, version: MlflowVersion) -> TrackingSettings:
            settings = super()._settings(version)
            return replace(
                settings,
                requirements=(*settings.requirements, *pin_installed(self.project_requirements)),
                trusted_types=self.project_types,
            )

    return ProjectTracker
