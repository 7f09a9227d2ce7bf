"""The ``mlflow`` resource: one config, a back end per version."""

import enum
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from dagster import (
    AssetExecutionContext,
    DagsterInstance,
    DagsterRun,
    InitResourceContext,
    OpExecutionContext,
)
from pydantic import Field, PrivateAttr

from wine_quality.dagster_support.config_fields import CheckedResource
from wine_quality.dagster_support.run_tag_names import (
    MLFLOW_EXPERIMENT_TAG,
    MLFLOW_OWNER_TAG,
    MLFLOW_RUN_TAG,
    MLFLOW_STATE_TAG,
    MLFLOW_URI_TAG,
    MLFLOW_VERSION_TAG,
    TRAINED_BY_TAG,
    change_tag,
)
from wine_quality.environments.mlflow_versions import (
    DEFAULT_VERSION,
    MLFLOW_VERSIONS,
    MlflowVersion,
    get_version,
)
from wine_quality.policy.names import check_experiment_name, check_model_name
from wine_quality.policy.places import check_link
from wine_quality.project import EXPERIMENT, MODEL
from wine_quality.tracking.client import TrackingSettings
from wine_quality.tracking.connection import connect, tracking_settings
from wine_quality.tracking.registry.promotion_note import disown_promotion
from wine_quality.tracking.runs.lifecycle import (
    Resumption,
    broken_off_status,
    final_status,
    has_ended,
    resumption_of,
)
from wine_quality.tracking.runs.one_opener import one_opener
from wine_quality.tracking.runs.run_tags import LEFT, OPEN, RUN_TAG, run_name, tags_for_mlflow
from wine_quality.tracking.servers.addresses import (
    allowed_registry_uri,
    allowed_tracking_uri,
    without_password,
)
from wine_quality.tracking.servers.databricks import check_unity_catalog_name, is_unity_catalog
from wine_quality.tracking.servers.failures import Subjects
from wine_quality.tracking.servers.server_check import name_failing_server, tracked_under
from wine_quality.tracking.servers.step_retry import retry_while_unavailable
from wine_quality.tracking.step_tags import opens_one, planned_tags
from wine_quality.tracking.tracker import Tracker
from wine_quality.tracking.training import PartsOfTwoTrainingsError, Training
from wine_quality.tracking.version_choice import choose_version, named_version, version_of_process

# Dagster's config enums go by name; here name and value are the version table's key.
VersionKey = enum.Enum("VersionKey", {key: key for key in MLFLOW_VERSIONS})  # type: ignore[misc]


class ModelFormat(enum.Enum):
    """The format of the estimator in the model artifact."""

    skops = "skops"
    pickle = "pickle"


class MlflowTracker(CheckedResource):
    """Tracks each run in MLflow, with the client of the chosen MLflow version."""

    version: VersionKey = Field(
        default=VersionKey(DEFAULT_VERSION),
        description="MLflow version whose client tracks the run, in quotes. One of: "
        + ", ".join(f'"{key}"' for key in MLFLOW_VERSIONS),
    )
    experiment_name: str = Field(
        default=EXPERIMENT, description="MLflow experiment the runs go to."
    )
    tracking_uri: str | None = Field(
        default=None,
        description="MLflow server, e.g. http://localhost:5100. Empty: that of the version "
        "($WINE_QUALITY_MLFLOW_URI_2_1_1, …), else $MLFLOW_TRACKING_URI, else an embedded store of "
        "this version in $WINE_QUALITY_HOME.",
    )
    registry_uri: str | None = Field(
        default=None,
        description="MLflow server that models are registered on, if another. Empty: "
        "$MLFLOW_REGISTRY_URI, else where runs are tracked.",
    )
    registered_model_name: str = Field(
        default=MODEL, description="Registered model that gets the versions."
    )
    model_format: ModelFormat = Field(
        default=ModelFormat.skops,
        description='"skops" (MLflow 3\'s safe default) or "pickle"; 1.26 and 2.1.1 write pickles.',
    )
    ui_url: str = Field(
        default="",
        description="Where people open the MLflow UI, for links. Empty: the server in "
        "tracking_uri, else $WINE_QUALITY_MLFLOW_UI; of an embedded store: that of `make up`, "
        "below Dagster's own address (/mlflow/3/).",
    )

    _tracker: Tracker | None = PrivateAttr(default=None)
    _is_open: bool = PrivateAttr(default=False)
    _log: Callable[[str], None] = PrivateAttr(default=print)
    _warn: Callable[[str], None] = PrivateAttr(default=print)

    @property
    def tracker(self) -> Tracker:
        if self._tracker is None:
            raise RuntimeError("the mlflow resource is only usable inside a Dagster run")
        return self._tracker

    def warn(self, text: str) -> None:
        """Into the log of the run."""
        self._warn(text)

    @contextmanager
    def yield_for_execution(self, context: InitResourceContext) -> Iterator["MlflowTracker"]:
        if has_ended(context):
            # Dagster's result of a run makes the resources anew when its values are asked for.
            yield self
        else:
            yield from self._of_run(context)._track(context)

    def _of_run(self, context: InitResourceContext) -> "MlflowTracker":
        """This, or a copy with the version that the run follows as run config names none."""
        run, instance, log = context.dagster_run, context.instance, context.log
        assert run is not None and instance is not None and log is not None
        if named_version(run.run_config) is not None:
            return self
        run_id, key = version_of_process.get() or (None, "")
        if run_id != run.run_id:
            chosen = choose_version(instance, run, self.version.value)
            key = chosen.version.key
            if chosen.followed:
                log.info(chosen.sentence)
        return self.model_copy(update={"version": VersionKey(key)})

    def _track(self, context: InitResourceContext) -> Iterator["MlflowTracker"]:
        run, instance, log = context.dagster_run, context.instance, context.log
        assert run is not None and instance is not None and log is not None
        tracker: Any = self.connect(log.warning)
        tracker.init_context = context
        self._tracker, self._log, self._warn = tracker, log.info, log.warning
        try:
            resumption = resumption_of(instance, run)
            if opens_one(planned_tags(instance, run)) or resumption.is_same_run:
                # Anew each time: a try that broke off may have made the run.
                with name_failing_server():
                    retry_while_unavailable(lambda: self._open_own(instance, run), log.warning)
            yield self
        except BaseException as error:
            # The run is given up, opening failed, or Ctrl-C (no Exception) came; a failing step
            # does not come by here.
            self._end(instance, run, broken_off_status(instance, run, error))
            raise
        else:
            self._end(instance, run, final_status(instance, run))
        finally:
            self._tracker = None

    def connect(self, warn: Callable[[str], None]) -> Tracker:
        """A tracker without a run, on a server that fits the version picked."""
        version = get_version(self.version.value)
        tracked_under.set(Subjects(self.experiment_name, self.registered_model_name))
        return connect(version, self._settings(version), warn)

    def begin_run(self, context: OpExecutionContext | AssetExecutionContext) -> Tracker:
        """The tracker, on the MLflow run of this Dagster run.

        It is open since the run began where the step's tags declare that it opens one. A plan that
        was made by an older commit has no such tags; its run is opened here.
        """
        if not self._is_open:
            self._open_own(context.instance, context.run)
        return self.tracker

    def continue_run(
        self, context: OpExecutionContext | AssetExecutionContext, training: Training
    ) -> Tracker:
        """The tracker, on the run that trained the model an asset was given.

        Raises:
            PartsOfTwoTrainingsError: an earlier step of this run went on with another.
            MlflowRunGoneError: that run is not on the server, or was deleted.
        """
        opened = self.tracker.run_id
        if not self._is_open:  # no other step has, or the server was away while this one did
            self._open_run(
                context.instance, context.run, Resumption(training.mlflow_run_id), training
            )
        elif opened != training.mlflow_run_id:
            raise PartsOfTwoTrainingsError(
                f"This Dagster run goes on with MLflow run {opened}, but the step was given parts "
                f"of another training: {training}. Launch it again."
            )
        return self.tracker

    def _open_own(self, instance: DagsterInstance, run: DagsterRun) -> None:
        with one_opener(run.run_id):
            self._open_run(instance, run, resumption_of(instance, run))

    def _open_run(
        self,
        instance: DagsterInstance,
        run: DagsterRun,
        resumption: Resumption,
        training: Training | None = None,
    ) -> None:
        """Open the MLflow run of this Dagster run, noted on the Dagster run before and after.

        Args:
            training: That the run goes on with; None when it is to train itself.
        """
        tracker = self.tracker
        run_id = resumption.run_id
        if run_id is None and resumption.made_by is not None:
            run_id = tracker.find_run(RUN_TAG, resumption.made_by)
        is_new = training is None and not resumption.is_same_run
        if run_id is not None and is_new and tracker.has_version(run_id):
            # The parent's tags may have been given at launch; its files would be written over.
            self._warn(f"MLflow run {run_id} is that of a registered version: this is another.")
            run_id = None
        if run_id is not None:
            tracker.locate(run_id)
        trained_by = training.dagster_run_id if training else resumption.trained_by
        instance.add_run_tags(
            run.run_id,
            {
                MLFLOW_URI_TAG: without_password(tracker.settings.tracking_uri),
                MLFLOW_VERSION_TAG: tracker.settings.version,
                MLFLOW_EXPERIMENT_TAG: tracker.experiment_name,
                # Empty in place of the one that a re-execution's tags were copied with.
                MLFLOW_RUN_TAG: run_id or "",
                MLFLOW_OWNER_TAG: run.run_id,
                TRAINED_BY_TAG: trained_by or run.run_id,
                MLFLOW_STATE_TAG: OPEN,
                **disown_promotion(run),
            },
        )
        tracker.open(run_id, run_name(run), tags_for_mlflow(run, tracker.settings.ui_url))
        opened = tracker.require_run_id()
        tracker.training = training or tracker.training_of(opened, trained_by or run.run_id)
        if run_id is None:
            instance.add_run_tags(run.run_id, {MLFLOW_RUN_TAG: opened})
        tracker.activate(opened)
        self._is_open = True

    def _end(self, instance: DagsterInstance, run: DagsterRun, status: str | None) -> None:
        """End the MLflow run; None leaves it open for the processes of the steps that are left."""
        tracker = self.tracker
        if tracker.run_id is None:
            return
        try:
            holder = tracker.end(status)
        except Exception as error:
            self._warn(
                f"MLflow run {tracker.run_id} could not be ended as {status}: {error} "
                "The sensor mlflow_run_closer ends it when the server answers."
            )
            return
        if status is None:
            return
        change_tag(instance, run.run_id, MLFLOW_STATE_TAG, LEFT if holder else status)
        if holder:
            self._log(
                f"MLflow run {tracker.run_id} is left to Dagster run {holder}, which has taken it "
                "up meanwhile."
            )
        else:
            self._log(f"MLflow run {tracker.run_id} ended as {status}.")

    def _check_model_name(self, field: str) -> None:
        check_model_name(self.registered_model_name, field)

    def _settings(self, version: MlflowVersion) -> TrackingSettings:
        field = "resources.mlflow.config"
        self._check_model_name(f"{field}.registered_model_name")
        check_experiment_name(self.experiment_name, f"{field}.experiment_name")
        check_link(self.ui_url, f"{field}.ui_url")
        # The environment's own address, not the text that was given, goes to MLflow's client.
        settings = tracking_settings(
            version,
            allowed_tracking_uri(self.tracking_uri, version.key) if self.tracking_uri else None,
            allowed_registry_uri(self.registry_uri, version.key) if self.registry_uri else None,
            experiment_name=self.experiment_name,
            model_format=self.model_format.value,
            ui_url=self.ui_url,
        )
        if self.registered_model_name and is_unity_catalog(settings.registry_in_use):
            check_unity_catalog_name(self.registered_model_name, f"{field}.registered_model_name")
        return settings
