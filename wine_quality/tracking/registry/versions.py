"""Versions of registered models: made and signed, checked, downloaded, loaded."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wine_quality.policy.names import check_run_id
from wine_quality.tracking.client import MODEL_FOLDER, TAG_LIMIT, TRAINING_RECORD
from wine_quality.tracking.model_files import model_sha256
from wine_quality.tracking.registry.champion import ChampionRegistry
from wine_quality.tracking.registry.loadable import loadable_formats, require_loadable
from wine_quality.tracking.registry.provenance import (
    HASH_TAG,
    NO_RECORD,
    SIGNATURE_TAG,
    Claims,
    UntrustedModelError,
    require_files,
    require_own_run,
    require_seal,
    require_signature,
    signature,
)
from wine_quality.tracking.runs.run_log import LoggedModel
from wine_quality.tracking.runs.run_tags import RUN_TAG
from wine_quality.tracking.runs.training_records import TrainingRecords

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd


class ModelVersions(TrainingRecords):
    """Registers the open run's model, and reads what was registered."""

    def seal(self, files: str, record: str) -> str:
        """A signature of the model and record of the open run, for the step that registers it."""
        return signature(self._logged(files, record))

    def require_seal(self, seal: str, files: str, record: str) -> None:
        """Raises ``UntrustedModelError`` unless ``seal`` was made of these, for the open run."""
        require_seal(seal, self._logged(files, record))

    def _logged(self, files: str, record: str) -> Claims:
        """Claims without a registered model, so that the seal is not a signature of a version."""
        return Claims("", self.require_run_id(), self.settings.version, "", files, record)

    def load_training_record(self, found: Any) -> dict[str, Any] | None:
        """The training record that ``log_training_record`` logged to the version's run; None when
        the run has none, or it is gone.

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
        if hashlib.sha256(content).hexdigest() != claims.record:
            raise UntrustedModelError(
                f"{found.name} version {found.version} is not compared with: the record of its "
                f"training ({TRAINING_RECORD} of run {claims.mlflow_run_id}) is not the one that "
                "was there when it was registered. Restore it from a backup, or make another "
                "version the champion (make rollback)."
            )
        return json.loads(content)

    def predict(self, name: str, version: str, features: pd.DataFrame) -> Any:
        """Predictions of a registered version for each row, loaded by ``mlflow.pyfunc``.

        Raises:
            UntrustedModelError: its files are not what this pipeline registered.
            FileNotFoundError: the version's files are gone.
            Exception: any error of its loading.
        """
        import mlflow.pyfunc

        with tempfile.TemporaryDirectory() as folder:
            files = self.download_version(name, version, Path(folder))
            return mlflow.pyfunc.load_model(str(files)).predict(features)

    def download_version(
        self, name: str, version: str, folder: Path, trusted_types: Sequence[str] = ()
    ) -> Path:
        """A registered version's files, below ``folder``: where ``MLmodel`` lies. They may be
        loaded: they are what was registered.

        Args:
            trusted_types: Full names of further types that a skops model may hold.

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
        self.require_loadable(f"{name} version {version}", files, trusted_types)
        return files

    def require_trusted(self, name: str, version: str) -> Claims:
        """The claims of a version that is signed; its files are not checked.

        Raises:
            UntrustedModelError: it is not.
        """
        return require_signature(self.client.get_model_version(name, version))

    @property
    def loadable_formats(self) -> frozenset[str]:
        """Of model files, see ``tracking.loadable``."""
        return loadable_formats(self.settings.version, self.settings.model_format)

    def require_loadable(self, title: str, files: Path, more: Sequence[str] = ()) -> str:
        """See ``loadable.require_loadable``; ``more`` are types to trust besides the settings'."""
        trusted = (*self.settings.trusted_types, *more)
        return require_loadable(title, files, self.loadable_formats, trusted)

    def claims_of(self, found: Any, trusted_types: Sequence[str] = ()) -> tuple[Claims, str]:
        """The claims to sign for a version, from its files and its run as they are now; the model
        is not loaded.

        Args:
            trusted_types: Full names of further types that a skops model may hold.

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
            kind = self.require_loadable(title, files, trusted_types)
            content = self._record_of(found.run_id)
            claims = Claims(
                model=found.name,
                mlflow_run_id=found.run_id,
                mlflow_version=self.settings.version,
                dagster_run_id=run.data.tags[RUN_TAG],
                files=model_sha256(files),
                record=NO_RECORD if content is None else hashlib.sha256(content).hexdigest(),
            )
        return claims, kind

    def sign(self, found: Any, claims: Claims) -> None:
        """Have a version carry this code location's signature."""
        for key, value in ((HASH_TAG, claims.files), (SIGNATURE_TAG, signature(claims))):
            self.client.set_model_version_tag(found.name, found.version, key, value)

    def _download(self, found: Any, folder: Path) -> Path:
        """Not by ``models:/<name>/<version>``: MLflow resolves that again."""
        from mlflow.artifacts import download_artifacts

        if self.in_unity_catalog:
            return self._download_copy(found, folder)
        _require_files(found.source)
        return Path(download_artifacts(artifact_uri=found.source, dst_path=str(folder)))

    def _download_copy(self, found: Any, folder: Path) -> Path:
        """Download the files that Unity Catalog holds, by an address that it gives on request."""
        from mlflow.store.artifact.models_artifact_repo import ModelsArtifactRepository

        # Not by the repository around it, which adds a file.
        files = ModelsArtifactRepository(f"models:/{found.name}/{found.version}").repo
        if not files.list_artifacts(""):
            raise FileNotFoundError(f"nothing is left of {found.name} version {found.version}")
        return Path(files.download_artifacts("", str(folder)))

    def registry(self, name: str) -> ChampionRegistry:
        """Champion and challenger among the versions of a registered model."""
        return ChampionRegistry(self.client, name)

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
        self._note_on_logged_model(model.uri, name, version)
        self.client.update_model_version(name, version, description)
        return version

    def _note_on_logged_model(self, model_uri: str, name: str, version: str) -> None:
        """Have the logged model's own page name the version; before MLflow 3 there is none."""

    def has_version(self, run_id: str) -> bool:
        """Whether the run's model is registered, by any name."""
        return bool(self.client.search_model_versions(f"run_id='{check_run_id(run_id)}'"))

    def _versions_of(self, run_id: str, name: str) -> list[str]:
        """Numbers of the run's versions, lowest first. Searched by run: a model may have thousands
        of versions."""
        mine = [
            found.version
            for found in self.client.search_model_versions(f"run_id='{run_id}'")
            if found.name == name
        ]
        return [str(number) for number in sorted(mine, key=int)]

    def create_version(self, name: str, model_uri: str, tags: dict[str, str]) -> Any:
        """A new version whose files are those of this run's ``model`` folder."""
        if self.registers_elsewhere:
            return self._create_version_elsewhere(name, tags)
        run = self.client.get_run(self.require_run_id())
        source = f"{run.info.artifact_uri}/{MODEL_FOLDER}"
        return self.client.create_model_version(name, source, run.info.run_id, tags)

    def _create_version_elsewhere(self, name: str, tags: dict[str, str]) -> Any:
        """Made from a ``runs:/`` address, as the run is on another server. MLflow 3's registry
        would look on its own server for proxied artifacts, or for a logged model's id."""
        run_id = self.require_run_id()
        has_link = self.run_url.startswith("http") and not self.in_unity_catalog  # refuses it
        link = self.run_url if has_link else None
        source = f"runs:/{run_id}/{MODEL_FOLDER}"
        return self.client.create_model_version(name, source, run_id, tags, run_link=link)

    def _create_registered_model(self, name: str, description: str) -> None:
        from mlflow.exceptions import MlflowException

        try:
            self.client.create_registered_model(name, description=description)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":
                raise


def _require_files(source: str) -> None:
    """Asked first, since the older clients try for a minute to fetch what is not there.

    Not by ``get_model_version_download_uri``, for which MLflow 3 reads all versions of the model.
    """
    from mlflow.store.artifact.artifact_repository_registry import get_artifact_repository

    if not get_artifact_repository(source).list_artifacts(None):  # 1.26 wants a path for runs:/
        raise FileNotFoundError(f"nothing is left at {source}")
