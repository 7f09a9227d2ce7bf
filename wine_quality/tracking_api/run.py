"""The MLflow run of a Dagster run, as an asset sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dagster import MetadataValue, TableRecord

from wine_quality.tracking.servers.links import mlflow_link
from wine_quality.tracking.version_choice import CLIENT_METADATA
from wine_quality.tracking_api.autologging import Autolog, autologging
from wine_quality.tracking_api.child import ChildRun
from wine_quality.tracking_api.surroundings import active_experiment, value_outputs
from wine_quality.tracking_api.values import (
    ChampionDecision,
    LoggedMetrics,
    RegisteredVersion,
    TrackedModel,
    require_logged_here,
    running_tracker,
)

if TYPE_CHECKING:
    import pandas as pd
    from dagster import AssetExecutionContext, OpExecutionContext
    from mlflow.tracking import MlflowClient

    from wine_quality.tracking.registry.contest import Metric
    from wine_quality.tracking.resource import MlflowTracker
    from wine_quality.tracking.tracker import Tracker
    from wine_quality.tracking_api.project import MlflowTracking

_current: ContextVar[TrackedRun | None] = ContextVar("tracked_run", default=None)


class TrackedRun:
    """The MLflow run that belongs to the Dagster run of an asset.

    It is MLflow's active run too, so that ``mlflow.log_metric`` and the like write to it. The same
    calls work on each MLflow version. What is logged by them is shown on the asset's page as well.
    """

    def __init__(
        self,
        project: MlflowTracking,
        context: AssetExecutionContext | OpExecutionContext,
        resource: MlflowTracker,
        model: TrackedModel | None = None,
    ) -> None:
        self._project, self._context, self._resource = project, context, resource
        self._model, self._logged_own_model = model, False
        self._metadata: dict[str, Any] = {}
        # Of a project's resource; MlflowTracker itself has no such field.
        self._autolog = Autolog(getattr(resource, "autolog", Autolog.off))

    @classmethod
    def current(cls) -> TrackedRun:
        """The run of the asset or op that is running.

        Raises:
            RuntimeError: no asset or op that tracks is running.
        """
        run = _current.get()
        if run is None:
            raise RuntimeError(
                "no MLflow run is open here: do this in an asset with @mlflow.trains or "
                "@mlflow.continues"
            )
        return run

    @property
    def tracker(self) -> Tracker:
        """The package's own interface to MLflow, for calls that this class lacks."""
        return self._resource.tracker

    @property
    def client(self) -> MlflowClient:
        """MLflow's own client of the version picked, on the server of the run."""
        return self.tracker.client

    @property
    def run_id(self) -> str:
        """Id of the MLflow run."""
        return self.tracker.require_run_id()

    @property
    def url(self) -> str:
        """URL of the run's page; empty when no UI shows it."""
        return self.tracker.run_url

    @property
    def mlflow_version(self) -> str:
        """The version picked, as run config names it: ``3``, ``2.1.1`` or ``1.26``."""
        return str(self._resource.version.value)

    @property
    def registered_model(self) -> str:
        """Name of the registered model, from run config or ``MlflowTracking``; empty where the
        project trains several and each names its own."""
        return str(self._resource.registered_model_name)

    def log_params(self, params: Mapping[str, Any]) -> None:
        """Log parameters of the training; values longer than the version takes are cut."""
        self.tracker.log_params(params)

    def log_metrics(
        self, metrics: Mapping[str, float], model: TrackedModel | None = None
    ) -> LoggedMetrics:
        """Log metrics of the run, and with MLflow 3 of the logged model too.

        Args:
            model: That was measured; None: the one that the asset logged or was given.
        """
        values = {name: float(value) for name, value in metrics.items()}
        measured = model or self._model
        self.tracker.log_metrics(values, measured.model_uri if measured else "")
        self._metadata.update(values)
        return LoggedMetrics(values, self.tracker.require_training())

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        """Set tags of the MLflow run."""
        self.tracker.set_tags(tags)

    def log_artifact(self, file: str | Path, folder: str = "") -> None:
        """Log a local file, or a folder with all that is in it.

        Args:
            folder: Below the run's artifacts; empty: at their top.
        """
        if Path(file).is_dir():
            self.client.log_artifacts(self.run_id, str(file), folder or None)
        else:
            self.client.log_artifact(self.run_id, str(file), folder or None)

    def log_figure(self, figure: Any, path: str) -> None:
        """Log a figure of matplotlib or plotly, under ``path`` with its suffix."""
        self.client.log_figure(self.run_id, figure, path)

    def log_dataset(
        self,
        frame: pd.DataFrame,
        name: str,
        source: str = "",
        target: str | None = None,
        context: str = "training",
    ) -> None:
        """Log the lineage of the data, where MLflow has data sets (3); nothing before.

        Args:
            source: Where it comes from: a path, a URL, or text.
            target: The column that is predicted.
            context: ``training`` or ``test``.
        """
        self.tracker.log_dataset(frame, source, name, context, target)

    def log_model(
        self, model: Any, example: pd.DataFrame, record: Mapping[str, Any] | None = None
    ) -> TrackedModel:
        """Log a fitted estimator with scikit-learn's interface, as ``model`` of the run.

        MLflow 3 writes it with skops, the older versions as a pickle. Its requirements are those
        of the version's lock file and of ``extra_requirements``.

        Args:
            example: A few rows of the features, which give the model its signature.
            record: Of the training, as JSON knows it: kept with the run, signed with the version,
                and read by ``tracker.load_training_record``.

        Raises:
            RuntimeError: the run has a model already; train two in two Dagster runs.
        """
        if self._logged_own_model:
            raise RuntimeError(
                "this asset has logged a model: an MLflow run has one. Train another in a Dagster "
                "run of its own, such as one partition each."
            )
        from wine_quality.tracking.registry.provenance import NO_RECORD

        tracker = self.tracker
        logged = tracker.log_model(model, example)
        self._logged_own_model = True
        noted = "" if record is None else tracker.log_training_record(record)
        seal = tracker.seal(logged.sha256, noted or NO_RECORD)
        self._model = TrackedModel(
            logged.uri, logged.sha256, seal, tracker.require_training(), noted
        )
        self._metadata["model_uri"] = logged.uri
        return self._model

    def register(
        self,
        model: TrackedModel,
        metrics: Mapping[str, float] | None = None,
        name: str | None = None,
        tags: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> RegisteredVersion:
        """Register the model as a signed version; a step that is tried again makes no second.

        Args:
            metrics: For the version's description.
            name: Of the registered model; None: that of run config or of ``MlflowTracking``.
            tags: Of the version, besides those that lead to the run.
            description: Of the registered model, where this makes it; None: that of
                ``MlflowTracking``.

        Raises:
            BadNameError: there is no name, or it cannot be used.
            UntrustedModelError: no training of this project logged the model as it is.
        """
        from wine_quality.policy.names import check_model_name
        from wine_quality.tracking.registry.provenance import NO_RECORD
        from wine_quality.tracking.runs.run_log import LoggedModel
        from wine_quality.tracking.runs.run_tags import RUN_TAG, code_folder, git_commit

        require_logged_here(model)
        wanted = check_model_name(name or self._resource.registered_model_name)
        run = self._context.run
        version = self.tracker.register(
            LoggedModel(model.model_uri, model.sha256),
            model.record_sha256 or NO_RECORD,
            wanted,
            {**(tags or {}), RUN_TAG: run.run_id, "git_commit": git_commit(code_folder(run))},
            ", ".join(f"{key} {value:.6f}" for key, value in (metrics or {}).items()),
            self._project.description if description is None else description,
        )
        page = self.tracker.model_version_url(wanted, version)
        self._metadata.update(name=wanted, version=version, model_version=mlflow_link(page))
        return RegisteredVersion(wanted, version, self.tracker.require_training())

    def challenge(
        self,
        version: RegisteredVersion,
        score: Callable[[Any], float] | None = None,
        metric: Metric | None = None,
    ) -> ChampionDecision:
        """Have a version challenge the champion by the project's metric; the better one gets the
        role.

        Args:
            score: The metric of an estimator on the rows of today, so that all versions are
                measured alike. None: by what each version's run logged.
            metric: That decides; None: that of ``MlflowTracking``.

        Raises:
            ValueError: ``MlflowTracking`` has no metric, or the version's is not known.
            RoleConflictError: alias and stage name two champions.
        """
        from wine_quality.tracking_api.challenge import challenge

        metric = metric or self._project.metric
        if metric is None:
            raise ValueError('no metric decides: give MlflowTracking one, metric=Metric("auc", …)')
        decision = challenge(self._context, self.tracker, version, metric, score)
        shown = [
            TableRecord({"version": number, metric.name: decision.compared[number]})
            for number in sorted(decision.compared, key=int)
        ]
        self._metadata.update(
            champion=decision.champion or "none",
            decision=decision.reason,
            compared=MetadataValue.table(shown),
        )
        return decision

    def child(self, name: str) -> ChildRun:
        """A run below this one, for MLflow's own calls: ``with run.child("fold 1"): …``.

        It may be handed to processes of joblib and the like, where ``start_run(nested=True)`` would
        know no run above.
        """
        tracker = self.tracker
        uri, experiment = tracker.settings.tracking_uri, str(tracker.experiment_id)
        return ChildRun(self.run_id, uri, experiment, name)

    @contextmanager
    def as_current(self) -> Iterator[None]:
        """Have ``current`` return this run; at the end its links and figures are added to the
        step's output metadata."""
        token, of_tracker = _current.set(self), running_tracker.set(self.tracker)
        try:
            with active_experiment(self.tracker), autologging(self._autolog):
                yield
        finally:
            _current.reset(token)
            running_tracker.reset(of_tracker)
        links = {CLIENT_METADATA: self.tracker.client_version, "mlflow_run": mlflow_link(self.url)}
        values = value_outputs(self._context)
        if len(values) == 1:
            self._context.add_output_metadata(
                {**links, **self._metadata}, output_name=next(iter(values))
            )
