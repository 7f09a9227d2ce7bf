"""Whether the files of a registered version are what this pipeline registered.

Loading a model may run code: pickles do by design, and ``MLmodel`` and ``requirements.txt`` name
more of it. So the SHA-256 of all files is noted on the version when it is registered, and nothing
is loaded, served or built into an image that is of another run or has another hash.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from wine_quality.tracking.run_tags import RUN_TAG

HASH_TAG = "wine_quality.model_sha256"
# Written by MLflow's client beside what it downloads.
_NOT_OURS = ("registered_model_meta",)


class UntrustedModelError(RuntimeError):
    """The version is not one that may be loaded; the message says why and what to do."""


def model_sha256(folder: Path) -> str:
    """Over the name and the content of each file below ``folder``, in the names' order."""
    whole = hashlib.sha256()
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*")}
    for name in sorted(name for name, file in files.items() if not file.is_dir()):
        if name not in _NOT_OURS:
            content = hashlib.sha256(files[name].read_bytes()).hexdigest()
            whole.update(f"{content}  {name}\n".encode())
    return whole.hexdigest()


def require_own_run(client: Any, found: Any) -> None:
    """That a version's files are the model of a run that this pipeline made.

    Args:
        client: An ``MlflowClient``.
        found: The model version, as the client gives it.

    Raises:
        UntrustedModelError: they are not, as far as the registry tells.
    """
    from mlflow.exceptions import MlflowException

    title = f"{found.name} version {found.version}"
    refused = UntrustedModelError(
        f"{title} is not of a run of this pipeline, so its files are not loaded. Train and "
        "register the model by wine_quality_model."
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
            return
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        raise refused from error
    from wine_quality.tracking.tracker import MODEL_FOLDER

    own = (f"{run.info.artifact_uri}/{MODEL_FOLDER}", f"runs:/{found.run_id}/{MODEL_FOLDER}")
    if str(found.source).rstrip("/") not in own:
        raise refused


def require_hash(found: Any, files: Path) -> None:
    """That files are those that were registered.

    Args:
        found: The model version, as ``MlflowClient`` gives it.
        files: A copy of its files that nobody else writes to.

    Raises:
        UntrustedModelError: no hash was noted, or another one.
    """
    title = f"{found.name} version {found.version}"
    noted = found.tags.get(HASH_TAG)
    if noted is None:
        raise UntrustedModelError(
            f"{title} was registered without the SHA-256 of its files (tag {HASH_TAG}), so it is "
            "not loaded. If you know that they are what was trained: "
            f"make trust VERSION={found.version}"
        )
    actual = model_sha256(files)
    if actual != noted:
        raise UntrustedModelError(
            f"{title} is not loaded: its files have the SHA-256 {actual}, but {noted} was noted "
            f"when it was registered. They were changed in the artifact store, or are damaged. "
            "Restore them from a backup, or make another version the champion (make rollback)."
        )
