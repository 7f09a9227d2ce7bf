"""Whether the files of a registered version are what this pipeline registered.

Loading a model may run code: pickles do by design, and ``MLmodel`` and ``requirements.txt`` name
more of it. Anyone who reaches the MLflow server can make runs, files, versions and tags. So a
version is signed when it is registered, with a key that only the code location has
(``signing_key``). A version whose signature does not fit its files is not loaded, served, compared
or built into an image.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from wine_quality.tracking.client import MODEL_FOLDER
from wine_quality.tracking.model_files import UntrustedModelError, model_sha256
from wine_quality.tracking.registry.signing_key import key_id, signing_keys
from wine_quality.tracking.runs.run_tags import RUN_TAG

HASH_TAG = "wine_quality.model_sha256"
"""For people to read, and to check versions from before there were signatures."""
SIGNATURE_TAG = "wine_quality.signature"
NO_RECORD = "none"
_FORMAT = "1"
_PARTS = re.compile(r"[\w.-]+(?::[\w.-]+){6}", re.ASCII)


@dataclass(frozen=True)
class Claims:
    """The values that a signature covers, so that it fits only one version, run and set of files.

    Attributes:
        model: Name of the registered model.
        mlflow_run_id: The run that the version is of.
        mlflow_version: Key of the MLflow version that it was registered with.
        dagster_run_id: The run of the Dagster instance that trained it.
        files: SHA-256 over the model's files, see ``model_sha256``.
        record: SHA-256 of the run's training record; ``NO_RECORD`` when it has none.
    """

    model: str
    mlflow_run_id: str
    mlflow_version: str
    dagster_run_id: str
    files: str
    record: str


def signature(claims: Claims) -> str:
    """The value of ``SIGNATURE_TAG``: what is claimed and cannot be asked for, and the HMAC.

    Raises:
        SigningKeyError: there is no key.
    """
    return _signed(signing_keys().newest, claims)


def require_seal(text: str, logged: Claims) -> None:
    """Check that a training of this code location logged this. The seal lies in a store until the
    model is registered, and run config may name another store; writing there does not sign.

    Args:
        text: The ``signature`` of ``logged``, as the training handed it on.

    Raises:
        UntrustedModelError: it is not.
    """
    known = (_signed(key, logged) for key in signing_keys().keys)
    if not any(hmac.compare_digest(text.encode(), one.encode()) for one in known):
        raise UntrustedModelError(
            f"the model of MLflow run {logged.mlflow_run_id} is not registered: the value that "
            "was handed on is not what was trained here, or was sealed with a key that is gone. "
            "Materialize the asset that trains the model again."
        )


def _signed(key: str, claims: Claims) -> str:
    parts = (claims.mlflow_version, claims.dagster_run_id, claims.files, claims.record)
    return ":".join((_FORMAT, key_id(key), *parts, _hmac(key, claims)))


def require_signature(found: Any) -> Claims:
    """The claims of a version's signature, which is valid. Its files are still to be compared.

    Args:
        found: The model version, as ``MlflowClient`` gives it.

    Raises:
        UntrustedModelError: there is no signature, or none that this code location made of this
            model and run.
        SigningKeyError: there is no key.
    """
    title = f"{found.name} version {found.version}"
    text = found.tags.get(SIGNATURE_TAG)
    if text is None:
        raise UntrustedModelError(
            f"{title} is not loaded: it carries no signature of this pipeline (tag "
            f"{SIGNATURE_TAG}). It was registered before there were signatures, or by other hands. "
            f"If it is what was trained here: make trust VERSION={found.version} (VERSION=all: "
            "every version)."
        )
    if not _PARTS.fullmatch(text) or not text.startswith(f"{_FORMAT}:"):
        raise UntrustedModelError(
            f"{title} is not loaded: the signature in its tag {SIGNATURE_TAG} cannot be read."
        )
    _, signed_by, mlflow_version, dagster_run_id, files, record, given = text.split(":")
    claims = Claims(found.name, found.run_id or "", mlflow_version, dagster_run_id, files, record)
    known = signing_keys()
    key = next((key for key in known.keys if key_id(key) == signed_by), None)
    if key is None:
        raise UntrustedModelError(
            f"{title} is not loaded: it was signed with another key than those in {known.origin}. "
            "Set $WINE_QUALITY_SIGNING_KEY or $WINE_QUALITY_SIGNING_KEY_FILE to the key of whoever "
            f"registered it, or, if it is what was trained here: make trust VERSION={found.version}"
        )
    if not hmac.compare_digest(given, _hmac(key, claims)):
        raise UntrustedModelError(
            f"{title} is not loaded: its signature was made for another model, run or files. "
            "Somebody has copied or changed its tags."
        )
    return claims


def require_own_run(client: Any, found: Any) -> Any:
    """Check that a version's files are the model of a run that this pipeline made.

    Args:
        client: An ``MlflowClient``.
        found: The model version, as the client gives it.

    Returns:
        The MLflow run.

    Raises:
        UntrustedModelError: they are not, by what the registry has of them.
    """
    from mlflow.exceptions import MlflowException

    title = f"{found.name} version {found.version}"
    refused = UntrustedModelError(
        f"{title} is not of a run of this pipeline, so its files are not loaded. Train and "
        "register the model by a job of it."
    )
    if not found.run_id:
        raise refused
    try:
        run = client.get_run(found.run_id)
        if RUN_TAG not in run.data.tags:
            raise refused
        model_of, _, model_id = str(found.source).partition("models:/")
        if not model_of and model_id:  # MLflow 3's own address of a logged model
            if client.get_logged_model(model_id).source_run_id != found.run_id:
                raise refused
            return run
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise refused from error
    own = (f"{run.info.artifact_uri}/{MODEL_FOLDER}", f"runs:/{found.run_id}/{MODEL_FOLDER}")
    if str(found.source).rstrip("/") not in own:
        raise refused
    return run


def require_files(found: Any, files: Path, wanted: str) -> None:
    """Check that files are those that were signed.

    Args:
        found: The model version, as ``MlflowClient`` gives it.
        files: A copy of its files that nobody else writes to.
        wanted: Their SHA-256, by the signature or by ``HASH_TAG``.

    Raises:
        UntrustedModelError: they are not.
    """
    actual = model_sha256(files)
    if actual != wanted:
        raise UntrustedModelError(
            f"{found.name} version {found.version} is not loaded: its files have the SHA-256 "
            f"{actual}, but {wanted} was noted when it was registered. They were changed in the "
            "artifact store, or are damaged. Restore them from a backup, or make another version "
            "the champion (make rollback)."
        )


def _hmac(key: str, claims: Claims) -> str:
    content = json.dumps(asdict(claims), sort_keys=True, ensure_ascii=True)
    return hmac.new(key.encode(), f"{_FORMAT}\n{content}".encode(), hashlib.sha256).hexdigest()
