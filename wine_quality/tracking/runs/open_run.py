"""The MLflow run of a Dagster run: found or made, taken up again, ended."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import datetime, timezone
from typing import TYPE_CHECKING, Any

from wine_quality.tracking.client import TAG_LIMIT, ServerClient, TrackingSettings
from wine_quality.tracking.runs.child_runs import (
    ChildRuns,
    children_experiment,
    end_running_children,
)
from wine_quality.tracking.runs.run_tags import NOTE_TAG, RUN_TAG, with_dagster_link
from wine_quality.tracking.servers.addresses import without_password
from wine_quality.tracking.servers.databricks import check_experiment_path
from wine_quality.tracking.training import MlflowRunGoneError, Training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

# Has MLflow 3's UI show its pages for training, not those for generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


class OpenRun(ServerClient, ABC):
    """One MLflow run of one Dagster run."""

    def __init__(self, settings: TrackingSettings, warn: Callable[[str], None]) -> None:
        super().__init__(settings, warn)
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self.experiment_name = settings.experiment_name
        """Of the run that is open, which may have been made under another than that of now."""
        self.training: Training | None = None
        self._owner: str | None = None
        self._has_children = False

    def require_run_id(self) -> str:
        if self.run_id is None:
            raise RuntimeError(
                "no MLflow run is open: materialize the asset that trains the model first, or "
                "with this one"
            )
        return self.run_id

    def require_training(self) -> Training:
        """The training that the open run is of."""
        if self.training is None:
            raise RuntimeError("no MLflow run is open")
        return self.training

    def training_of(self, run_id: str, dagster_run_id: str = "") -> Training:
        """The training tracked in a run of this server."""
        uri = without_password(self.settings.tracking_uri)
        return Training(run_id, self.settings.version, uri, dagster_run_id)

    def logged_metrics(self, run_id: str) -> dict[str, float]:
        """The latest metrics of a run; none of one that is not on the server."""
        from mlflow.exceptions import MlflowException

        try:
            return dict(self.client.get_run(run_id).data.metrics)
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return {}
            raise

    def run_started(self) -> datetime:
        """The run's start time in MLflow; a run that is taken up again keeps its time."""
        milliseconds = self.client.get_run(self.require_run_id()).info.start_time
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

    @property
    def run_url(self) -> str:
        """URL of the run's page; empty when no UI shows it."""
        return self.pages.run(self.experiment_id, self.run_id)

    def open_experiment(self, name: str | None = None, note: str | None = None) -> str:
        """An experiment's id; it is created when new and restored when it was deleted.

        Args:
            name: None: that of the runs.
            note: Its description when it is made.
        """
        name = name or self.settings.experiment_name
        experiment = self.client.get_experiment_by_name(name)
        if experiment is None:
            return self._create_experiment(name, {NOTE_TAG: note} if note else {})
        if experiment.lifecycle_stage == "deleted":
            self._warn(f"MLflow experiment {name!r} was deleted; restoring it.")
            self.client.restore_experiment(experiment.experiment_id)
        return experiment.experiment_id

    def _create_experiment(self, name: str, tags: Mapping[str, str]) -> str:
        from mlflow.exceptions import MlflowException

        check_experiment_path(name, self.settings.tracking_uri)
        try:
            return self.client.create_experiment(
                name, self.settings.artifact_location, {**EXPERIMENT_TAGS, **tags}
            )
        except MlflowException as error:
            # Another run made it in this moment.
            experiment = self.client.get_experiment_by_name(name)
            if error.error_code != "RESOURCE_ALREADY_EXISTS" or experiment is None:
                raise
            return experiment.experiment_id

    def find_run(self, tag: str, value: str) -> str | None:
        """The newest run of the experiment that carries the tag, or None."""
        experiment_id = self.open_experiment()
        found = self.client.search_runs([experiment_id], f"tags.`{tag}` = '{value}'", max_results=1)
        return found[0].info.run_id if found else None

    def open(self, run_id: str | None, name: str, tags: Mapping[str, str]) -> None:
        """Make a run, or take ``run_id`` up again; ``activate`` follows.

        A new run gets its tags in the request that makes it: it can be found by them even if this
        process dies right after.

        Raises:
            MlflowRunGoneError: ``run_id`` is not there to be taken up.
        """
        self._owner = tags.get(RUN_TAG)
        cut = {key: self._cut("tag", key, value, TAG_LIMIT) for key, value in tags.items()}
        if run_id is None:
            self.experiment_id = self.open_experiment()
            made = self.client.create_run(self.experiment_id, tags={"mlflow.runName": name, **cut})
            self.run_id = self._settle(made, tags)
        else:
            self.locate(run_id)
            self.run_id = run_id
            if NOTE_TAG in cut:
                cut[NOTE_TAG] = with_dagster_link(self._note(), cut[NOTE_TAG])
            self.set_tags(cut)

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        cut = {key: self._cut("tag", key, value, TAG_LIMIT) for key, value in tags.items()}
        self.client.log_batch(self.require_run_id(), tags=[RunTag(*item) for item in cut.items()])

    def _note(self) -> str:
        """The run's description as it is."""
        return self.client.get_run(self.require_run_id()).data.tags.get(NOTE_TAG, "")

    def locate(self, run_id: str) -> None:
        """Take the experiment of a run for that of this tracker, in place of the settings' one.

        Raises:
            MlflowRunGoneError: there is no such run on this server, or it was deleted.
        """
        from mlflow.exceptions import MlflowException

        try:
            run = self.client.get_run(run_id)
            experiment = self.client.get_experiment(run.info.experiment_id)
            if experiment.lifecycle_stage == "deleted":
                self._warn(f"MLflow experiment {experiment.name!r} was deleted; restoring it.")
                self.client.restore_experiment(experiment.experiment_id)
                run = self.client.get_run(run_id)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            raise MlflowRunGoneError(
                f"MLflow run {run_id} is not on {without_password(self.settings.tracking_uri)}, "
                "where resources.mlflow.config looks for it. Pick the server that it was tracked "
                "on, or materialize the asset that trains the model, and what follows, again."
            ) from error
        if run.info.lifecycle_stage == "deleted":
            raise MlflowRunGoneError(
                f"MLflow run {run_id} was deleted. Restore it (mlflow runs restore --run-id "
                f"{run_id}), or materialize the asset that trains the model, and what follows, "
                "again."
            )
        self.experiment_id, self.experiment_name = experiment.experiment_id, experiment.name

    def _settle(self, made: Any, tags: Mapping[str, str]) -> str:
        """The earliest run of this Dagster run; it alone stays.

        Others are of a request whose answer was lost, which MLflow's client sent again with the
        same start, or of a step on another machine that opened the run at the same time. Each
        process removes what its own requests made, so that nobody removes what another has taken.

        Two machines keep two runs where one's clock is behind, or its request is slow: its run is
        made when the other has looked already, with an earlier start.
        """
        own = made.info
        if RUN_TAG not in tags or self.experiment_id is None:
            return own.run_id
        mine = f"tags.`{RUN_TAG}` = '{tags[RUN_TAG]}'"
        found = [run.info for run in self.client.search_runs([self.experiment_id], mine)]
        first = min([own, *found], key=lambda info: (info.start_time, info.run_id))
        for info in found:
            if info.run_id != first.run_id and info.start_time == own.start_time:
                self._warn(
                    f"The answer that named an MLflow run was lost, or another step opened one at "
                    f"the same time; removing {info.run_id}, {first.run_id} stays."
                )
                self.client.set_terminated(info.run_id, "KILLED")
                self.client.delete_run(info.run_id)
        return first.run_id

    @abstractmethod
    def activate(self, run_id: str) -> None:
        """Make it the active run of MLflow's fluent calls, its status RUNNING."""

    def child_runs(self) -> ChildRuns:
        """Writes runs below this one; ``end`` leaves none of them RUNNING."""
        assert self.experiment_id is not None
        self._has_children = True
        parents = self.experiment_name
        name = children_experiment(parents)
        page = self.pages.experiment_in_notes(self.experiment_id)
        note = f"Children of the runs of [{parents}]({page})."
        apart = self.open_experiment(name, note)
        page = self.pages.experiment_in_notes(apart)
        link = f"[Its child runs]({page}) are in the experiment {name}."
        there = self._note()
        if link not in there:
            self.client.set_tag(self.require_run_id(), NOTE_TAG, f"{there}\n\n{link}".lstrip())
        return ChildRuns(self.client, self.experiment_id, apart, self.require_run_id())

    def end(self, status: str | None) -> str | None:
        """End the run as FINISHED, FAILED or KILLED; None leaves it RUNNING for other processes.

        Returns:
            The Dagster run that has taken it up meanwhile, and to which it is left; else None.
        """
        import mlflow

        with _few_retries_of_client() if status != "FINISHED" else nullcontext():
            if status is not None and self.run_id is not None:
                now = self.client.get_run(self.run_id)
                holder = now.data.tags.get(RUN_TAG)
                if self._owner and holder and holder != self._owner:
                    mlflow.end_run(now.info.status)
                    return holder
            # Takes it off the fluent calls' stack, which would end it as FINISHED at exit.
            mlflow.end_run(status or "RUNNING")
            if self.run_id is not None and status is not None:
                if self._has_children and self.experiment_id is not None:
                    end_running_children(self.client, self.experiment_id, self.run_id, status)
                self.client.set_terminated(self.run_id, status)
        return None


@contextmanager
def _few_retries_of_client() -> Iterator[None]:
    """With short time-outs: MLflow's client would try for minutes to end a run that is given up."""
    limits = {"MLFLOW_HTTP_REQUEST_TIMEOUT": "10", "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1"}
    before = {name: os.environ.get(name) for name in limits}
    os.environ.update(limits)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
