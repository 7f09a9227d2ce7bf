"""What the assets see of MLflow, the same on every version.

A back end only says how a run is opened and how its model is logged; all else goes through
``MlflowClient`` calls that MLflow has kept since 1.x.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.policy.names import check_run_id
from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.tracking.registry.loadable import loadable_formats, require_loadable
from wine_quality.tracking.registry.provenance import (
    HASH_TAG,
    NO_RECORD,
    SIGNATURE_TAG,
    Claims,
    UntrustedModelError,
    hashed_uploads,
    model_sha256,
    require_files,
    require_own_run,
    require_seal,
    require_signature,
    signature,
)
from wine_quality.tracking.runs.child_runs import (
    ChildRuns,
    children_experiment,
    end_running_children,
)
from wine_quality.tracking.runs.run_tags import (
    NOTE_TAG,
    RUN_TAG,
    with_dagster_link,
    without_password,
)
from wine_quality.tracking.servers.patience import be_patient
from wine_quality.tracking.training import MlflowRunGoneError, Training

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import pandas as pd
    from sklearn.base import BaseEstimator

TAG_LIMIT = 5000
"""Characters of a tag value that every server accepts."""

MODEL_FOLDER = "model"
TRAINING_RECORD = "training/record.json"

# Has MLflow 3's UI show its pages for training, not those for generative AI.
EXPERIMENT_TAGS = {"mlflow.experimentKind": "custom_model_development"}


@dataclass(frozen=True)
class TrackingSettings:
    """Where and how to track.

    Attributes:
        version: Key in the version table.
        tracking_uri: URI of the server or of the embedded store.
        experiment_name: Experiment that the runs go to.
        artifact_location: Artifact root for a new experiment; None leaves it to the server.
        model_format: ``skops`` or ``pickle``; MLflow before 3 knows only pickles.
        ui_url: Address at which a person sees this MLflow, a path below Dagster's own
            (``/mlflow/3``), or empty.
    """

    version: str
    tracking_uri: str
    experiment_name: str
    artifact_location: str | None
    model_format: str
    ui_url: str
    requirements: tuple[str, ...] = field(default=())


@dataclass(frozen=True)
class LoggedModel:
    """A model that was logged.

    Attributes:
        sha256: See ``model_sha256``: of its files as they were before they left this process, for
            whoever reaches the artifact store may change them at once.
    """

    uri: str
    sha256: str


class Tracker(ABC):
    """One MLflow run of one Dagster run."""

    def __init__(self, settings: TrackingSettings, warn: Callable[[str], None]) -> None:
        # MLflow 3 reports its use to its makers unless told not to.
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        # It prints links with the password of the tracking URI in them; Dagster shows clean ones.
        os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        be_patient()
        import mlflow
        from mlflow.tracking import MlflowClient

        self.settings = settings
        self._warn = warn
        mlflow.set_tracking_uri(settings.tracking_uri)
        self.client = MlflowClient()
        self._records: dict[str, bytes | None] = {}
        self.run_id: str | None = None
        self.experiment_id: str | None = None
        self.experiment_name = settings.experiment_name
        """Of the run that is open, which may have been made under another than that of now."""
        self.training: Training | None = None
        self._owner: str | None = None
        self._has_children = False

    @property
    def client_version(self) -> str:
        import mlflow

        return mlflow.__version__

    @property
    def param_limit(self) -> int:
        """Characters of a parameter value that this version accepts: 250, 500 or 6000."""
        from mlflow.utils import validation

        return int(getattr(validation, "MAX_PARAM_VAL_LENGTH", 250))

    def require_run_id(self) -> str:
        if self.run_id is None:
            raise RuntimeError(
                "no MLflow run is open: materialize elasticnet_model first, or with this asset"
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
        """When MLflow says that the run began; a run that is taken up again keeps its time."""
        milliseconds = self.client.get_run(self.require_run_id()).info.start_time
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)

    @property
    def run_url(self) -> str:
        """Where the run is seen; empty when no UI shows it."""
        return self._seen_at(f"experiments/{self.experiment_id}/runs/{self.run_id}")

    def model_version_url(self, name: str, version: str) -> str:
        """Where the version is seen; empty when no UI shows it."""
        return self._seen_at(f"models/{name}/versions/{version}")

    def _seen_at(self, page: str) -> str:
        ui = self.settings.ui_url
        return f"{ui}/#/{page}" if ui else ""

    def experiment_url(self, experiment_id: str) -> str:
        """Where an experiment is seen; empty when no UI shows it."""
        return self._seen_at(f"experiments/{experiment_id}")

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

        A new run gets its tags in the request that makes it: whatever dies afterwards, it can be
        found by them.

        Raises:
            MlflowRunGoneError: ``run_id`` is not there to be taken up.
        """
        self._owner = tags.get(RUN_TAG)
        cut = {key: self._cut("tag", key, value, TAG_LIMIT) for key, value in tags.items()}
        if run_id is None:
            self.experiment_id = self.open_experiment()
            made = self.client.create_run(self.experiment_id, tags={"mlflow.runName": name, **cut})
            self.run_id = made.info.run_id
            self._remove_ghost_runs(tags)
        else:
            self.locate(run_id)
            self.run_id = run_id
            if NOTE_TAG in cut:
                cut[NOTE_TAG] = with_dagster_link(self._note(), cut[NOTE_TAG])
            self.set_tags(cut)

    def _note(self) -> str:
        """The run's description as it is."""
        return self.client.get_run(self.require_run_id()).data.tags.get(NOTE_TAG, "")

    def locate(self, run_id: str) -> None:
        """Take the experiment of a run for that of this tracker, whatever the settings say.

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
                "on, or materialize elasticnet_model and what follows again."
            ) from error
        if run.info.lifecycle_stage == "deleted":
            raise MlflowRunGoneError(
                f"MLflow run {run_id} was deleted. Restore it (mlflow runs restore --run-id "
                f"{run_id}), or materialize elasticnet_model and what follows again."
            )
        self.experiment_id, self.experiment_name = experiment.experiment_id, experiment.name

    def _remove_ghost_runs(self, tags: Mapping[str, str]) -> None:
        """Runs that a request made whose answer was lost: MLflow's client sent it again."""
        if RUN_TAG not in tags or self.experiment_id is None:
            return
        mine = f"tags.`{RUN_TAG}` = '{tags[RUN_TAG]}'"
        for found in self.client.search_runs([self.experiment_id], mine):
            ghost = found.info.run_id
            if ghost != self.run_id:
                self._warn(f"The answer that named MLflow run {ghost} was lost; removing that run.")
                self.client.set_terminated(ghost, "KILLED")
                self.client.delete_run(ghost)

    @abstractmethod
    def activate(self, run_id: str) -> None:
        """Make it the active run of MLflow's fluent calls, its status RUNNING."""

    def log_model(self, model: BaseEstimator, example: pd.DataFrame) -> LoggedModel:
        """Log the fitted estimator under ``model``, with ``example`` rows."""
        import mlflow.tracking.fluent

        # In MLflow 3 by the client, before by the fluent function.
        owner: Any = mlflow.tracking.fluent
        name = "log_artifacts"
        if hasattr(self.client, "log_model_artifacts"):
            owner, name = type(self.client), "log_model_artifacts"
        with hashed_uploads(owner, name) as uploads:
            uri = self._log_model(model, example)
        if len(uploads) != 1:
            raise RuntimeError(
                f"MLflow {self.client_version} uploaded {len(uploads)} folders by {name} for one "
                "model, so what it logged cannot be signed"
            )
        return LoggedModel(uri, uploads[0])

    @abstractmethod
    def _log_model(self, model: BaseEstimator, example: pd.DataFrame) -> str:
        """Log the fitted estimator under ``model`` and return its model URI."""

    def log_dataset(self, frame: pd.DataFrame, source: str, name: str) -> None:  # noqa: B027
        """Record the training data's lineage where the version has datasets.

        MLflow before 2.4 has none; the data hash carries the lineage there.
        """

    def set_tags(self, tags: Mapping[str, Any]) -> None:
        from mlflow.entities import RunTag

        cut = {key: self._cut("tag", key, value, TAG_LIMIT) for key, value in tags.items()}
        self.client.log_batch(self.require_run_id(), tags=[RunTag(*item) for item in cut.items()])

    def log_params(self, params: Mapping[str, Any]) -> None:
        from mlflow.entities import Param

        cut = self._cut_params(params)
        self.client.log_batch(self.require_run_id(), params=[Param(*item) for item in cut.items()])

    def _cut_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        limit = self.param_limit
        return {key: self._cut("parameter", key, value, limit) for key, value in params.items()}

    def log_metrics(self, metrics: Mapping[str, float]) -> None:
        import time

        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        values = [Metric(key, value, now, 0) for key, value in metrics.items()]
        self.client.log_batch(self.require_run_id(), metrics=values)

    def log_figure(self, png: bytes, path: str) -> None:
        self._log_file(path, png)

    def log_table(self, path: str, rows: Sequence[Mapping[str, Any]]) -> None:
        """As CSV; the first row names the columns."""
        text = io.StringIO()
        writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        self._log_file(path, text.getvalue().encode())

    def log_training_record(self, record: Mapping[str, Any]) -> str:
        """The model in plain numbers and what its training data looked like; returns its SHA-256.

        By this a later run compares with it, whatever environment trained it.
        """
        content = json.dumps(record, indent=1).encode()
        self._log_file(TRAINING_RECORD, content)
        return _sha256(content)

    def seal(self, files: str, record: str) -> str:
        """Goes with what the open run's training hands on to whoever registers it."""
        return signature(self._logged(files, record))

    def require_seal(self, seal: str, files: str, record: str) -> None:
        """Raises ``UntrustedModelError`` unless ``seal`` was made of these, for the open run."""
        require_seal(seal, self._logged(files, record))

    def _logged(self, files: str, record: str) -> Claims:
        """Of no registered model yet, so that it is no signature of a version."""
        return Claims("", self.require_run_id(), self.settings.version, "", files, record)

    def load_training_record(self, found: Any) -> dict[str, Any] | None:
        """What ``log_training_record`` left in a version's run; None when it left none, or that
        is gone.

        Args:
            found: The model version, as the client gives it.

        Raises:
            UntrustedModelError: the version is not signed, or it was with another record.
            Exception: MLflow's or its artifact store's own, when they do not answer: a champion
                that cannot be asked for now is not one that is gone.
        """
        claims = require_signature(found)
        content = self._record_of(claims.mlflow_run_id)
        if content is None:
            return None
        if _sha256(content) != claims.record:
            raise UntrustedModelError(
                f"{found.name} version {found.version} is not compared with: the record of its "
                f"training ({TRAINING_RECORD} of run {claims.mlflow_run_id}) is not the one that "
                "was there when it was registered. Restore it from a backup, or make another "
                "version the champion (make rollback)."
            )
        return json.loads(content)

    def _record_of(self, run_id: str) -> bytes | None:
        if run_id not in self._records:
            there = self._is_there(run_id, TRAINING_RECORD)
            self._records[run_id] = self._read_record(run_id) if there else None
        return self._records[run_id]

    def _is_there(self, run_id: str, path: str) -> bool:
        """Asked first, since the older clients try for a minute to fetch what is not there."""
        from mlflow.exceptions import MlflowException

        if not run_id:  # a version may be registered without one
            return False
        try:
            beside = self.client.list_artifacts(run_id, str(Path(path).parent))
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return False
            raise
        return any(found.path == path for found in beside)

    def _read_record(self, run_id: str) -> bytes:
        from mlflow.artifacts import download_artifacts

        uri = f"runs:/{run_id}/{TRAINING_RECORD}"
        with tempfile.TemporaryDirectory() as folder:
            return Path(download_artifacts(artifact_uri=uri, dst_path=folder)).read_bytes()

    def predict(self, name: str, version: str, features: pd.DataFrame) -> Any:
        """What a registered version predicts, by MLflow's own loading of it.

        Raises:
            UntrustedModelError: its files are not what this pipeline registered.
            FileNotFoundError: the version's files are gone.
            Exception: whatever its loading raises.
        """
        import mlflow.pyfunc

        with tempfile.TemporaryDirectory() as folder:
            files = self.download_version(name, version, Path(folder))
            return mlflow.pyfunc.load_model(str(files)).predict(features)

    def download_version(self, name: str, version: str, folder: Path) -> Path:
        """A registered version's files, below ``folder``: where ``MLmodel`` lies. They may be
        loaded: they are what was registered.

        Raises:
            UntrustedModelError: they are not what this pipeline registered.
            FileNotFoundError: the version's files are gone.
            Exception: MLflow's or its artifact store's own, when they do not answer.
        """
        found = self.client.get_model_version(name, version)
        claims = require_signature(found)
        require_own_run(self.client, found)
        files = self._download(found, folder)
        require_files(found, files, claims.files)
        require_loadable(f"{name} version {version}", files, self.loadable_formats)
        return files

    def require_trusted(self, name: str, version: str) -> Claims:
        """That a version is signed, without its files.

        Raises:
            UntrustedModelError: it is not.
        """
        return require_signature(self.client.get_model_version(name, version))

    @property
    def loadable_formats(self) -> frozenset[str]:
        """Of model files, see ``tracking.loadable``."""
        return loadable_formats(self.settings.version, self.settings.model_format)

    def claims_of(self, found: Any) -> tuple[Claims, str]:
        """What a signature of the version would say, by its files and its run as they are now;
        nothing of them is loaded.

        Returns:
            The claims, and the format of its estimator.

        Raises:
            UntrustedModelError: it is of no run of this pipeline, its files are not those whose
                hash was noted, or it is of a format that may not be loaded.
            FileNotFoundError: the version's files are gone.
        """
        run = require_own_run(self.client, found)
        title = f"{found.name} version {found.version}"
        with tempfile.TemporaryDirectory() as folder:
            files = self._download(found, Path(folder))
            if HASH_TAG in found.tags:
                require_files(found, files, found.tags[HASH_TAG])
            kind = require_loadable(title, files, self.loadable_formats)
            content = self._record_of(found.run_id)
            claims = Claims(
                model=found.name,
                mlflow_run_id=found.run_id,
                mlflow_version=self.settings.version,
                dagster_run_id=run.data.tags[RUN_TAG],
                files=model_sha256(files),
                record=NO_RECORD if content is None else _sha256(content),
            )
        return claims, kind

    def sign(self, found: Any, claims: Claims) -> None:
        """Have a version carry this code location's signature."""
        for key, value in ((HASH_TAG, claims.files), (SIGNATURE_TAG, signature(claims))):
            self.client.set_model_version_tag(found.name, found.version, key, value)

    def _download(self, found: Any, folder: Path) -> Path:
        """Not by ``models:/<name>/<version>``, which says it anew."""
        from mlflow.artifacts import download_artifacts

        self._require_files(found.name, found.version)
        return Path(download_artifacts(artifact_uri=found.source, dst_path=str(folder)))

    def _require_files(self, name: str, version: str) -> None:
        """Asked first, since the older clients try for a minute to fetch what is not there."""
        from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

        files = self.client.get_model_version_download_uri(name, version)
        if not get_artifact_repository(files).list_artifacts():
            raise FileNotFoundError(f"nothing is left at {files}")

    def registry(self, name: str) -> ChampionRegistry:
        """Champion and challenger among the versions of a registered model."""
        return ChampionRegistry(self.client, name)

    def child_runs(self) -> ChildRuns:
        """Writes runs below this one; ``end`` leaves none of them RUNNING."""
        assert self.experiment_id is not None
        self._has_children = True
        parents = self.experiment_name
        name = children_experiment(parents)
        note = f"Children of the runs of [{parents}](#/experiments/{self.experiment_id})."
        apart = self.open_experiment(name, note)
        link = f"[Its child runs](#/experiments/{apart}) are in the experiment {name}."
        there = self._note()
        if link not in there:
            self.client.set_tag(self.require_run_id(), NOTE_TAG, f"{there}\n\n{link}".lstrip())
        return ChildRuns(self.client, self.experiment_id, apart, self.require_run_id())

    def _log_file(self, path: str, content: bytes) -> None:
        with tempfile.TemporaryDirectory() as folder:
            local = Path(folder) / Path(path).name
            local.write_bytes(content)
            parent = str(Path(path).parent)
            artifact_path = None if parent == "." else parent
            self.client.log_artifact(self.require_run_id(), str(local), artifact_path)

    def register(
        self,
        model: LoggedModel,
        record: str,
        name: str,
        tags: Mapping[str, str],
        description: str,
        of_model: str = "",
    ) -> str:
        """A model version of this run, signed; the one it already has when called again.

        Args:
            record: SHA-256 of the run's training record.
            tags: Of the version; ``RUN_TAG`` must be among them.
            description: Of the version.
            of_model: Description of the registered model, if this makes it.

        Returns:
            The version number as MLflow writes it.
        """
        run_id = self.require_run_id()
        self._create_registered_model(name, of_model)
        if not self._versions_of(run_id, name):
            cut = {key: self._cut("model tag", key, text, TAG_LIMIT) for key, text in tags.items()}
            version, files = self.settings.version, model.sha256
            signed = signature(Claims(name, run_id, version, tags[RUN_TAG], files, record))
            marks = {HASH_TAG: files, SIGNATURE_TAG: signed}
            self.create_version(name, model.uri, {**cut, **marks})
        # Asked again: MLflow's client sends a request again whose answer was lost.
        version, *ghosts = self._versions_of(run_id, name)
        for ghost in ghosts:
            self._warn(f"The answer that named {name} version {ghost} was lost; removing it.")
            self.client.delete_model_version(name, ghost)
        self.client.update_model_version(name, version, description)
        return version

    def has_version(self, run_id: str) -> bool:
        """Whether the run's model is registered, by whatever name."""
        return bool(self.client.search_model_versions(f"run_id='{check_run_id(run_id)}'"))

    def _versions_of(self, run_id: str, name: str) -> list[str]:
        """The numbers of a run's versions, the first one first."""
        # By the run and not by the name: a model may have thousands of versions.
        mine = [
            found.version
            for found in self.client.search_model_versions(f"run_id='{run_id}'")
            if found.name == name
        ]
        return [str(number) for number in sorted(mine, key=int)]

    def create_version(self, name: str, model_uri: str, tags: dict[str, str]) -> Any:
        """A new version whose files are those of this run's ``model`` folder."""
        run = self.client.get_run(self.require_run_id())
        source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
        return self.client.create_model_version(name, source, run.info.run_id, tags)

    def _create_registered_model(self, name: str, description: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name, description=description)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise

    def end(self, status: str | None) -> str | None:
        """End the run as FINISHED, FAILED or KILLED; None leaves it RUNNING for other processes.

        Returns:
            The Dagster run that has taken it up meanwhile, and to which it is left; else None.
        """
        import mlflow

        with _impatient() if status != "FINISHED" else nullcontext():
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

    def _cut(self, kind: str, key: str, value: Any, limit: int) -> str:
        text = str(value)
        if len(text) <= limit:
            return text
        self._warn(f"{kind} {key!r} has {len(text)} characters; cut to MLflow's {limit}.")
        return text[: limit - 1] + "…"


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@contextmanager
def _impatient() -> Iterator[None]:
    """MLflow's own patience is minutes; nobody waits that long for a run to be given up."""
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
