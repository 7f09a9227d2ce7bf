"""A registered model version made by the MLflow server's HTTP API alone, as anybody who reaches it
can make one. Its estimator makes a file when it is loaded."""

from __future__ import annotations

import pickle
import urllib.request
from pathlib import Path
from typing import Any

from wine_quality.tracking.model_files import model_sha256
from wine_quality.tracking.registry.provenance import HASH_TAG
from wine_quality_tests.support.servers import MlflowServer


class Payload:
    """Makes the file ``canary`` when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def put_payload(folder: Path, canary: Path) -> None:
    """In the place of the estimator, whatever its format was."""
    described = (folder / "MLmodel").read_text()
    described = described.replace("model.skops", "model.pkl").replace(": skops", ": cloudpickle")
    (folder / "MLmodel").write_text(described)
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload(canary)))


def tags_of(found: dict[str, Any]) -> dict[str, str]:
    """Of a model version, a run or a logged model, as REST has them."""
    return {tag["key"]: tag["value"] for tag in found.get("tags", [])}


def register(
    server: MlflowServer, genuine: dict[str, Any], files: Path, more_tags: dict[str, str]
) -> str:
    """A version with these files of a run that looks like one of the pipeline's; its number.

    Args:
        genuine: A version that the pipeline registered, as REST has it: all that is told of it and
            of its run is copied, the tag ``dagster.run_id`` included.
        files: The model's; their hash is noted as the pipeline notes it.
        more_tags: Of the version, such as a signature that was copied.
    """
    run = server.get(f"runs/get?run_id={genuine['run_id']}")["run"]
    experiment = run["info"]["experiment_id"]
    made = server.rest("runs/create", experiment_id=experiment, tags=run["data"]["tags"])
    made = made["run"]["info"]
    source, logged = f"{made['artifact_uri']}/model", {}
    if server.version.key == "3":
        model = server.rest(
            "logged-models", experiment_id=experiment, name="model", source_run_id=made["run_id"]
        )["model"]["info"]
        _upload(server, files, model["artifact_uri"])
        ready = {"model_id": model["model_id"], "status": "LOGGED_MODEL_READY"}
        server.rest(f"logged-models/{model['model_id']}", "PATCH", **ready)
        source, logged = f"models:/{model['model_id']}", {"model_id": model["model_id"]}
    else:
        _upload(server, files, source)
    tags = {**tags_of(genuine), HASH_TAG: model_sha256(files), **more_tags}
    version = server.rest(
        "model-versions/create",
        name=genuine["name"],
        source=source,
        run_id=made["run_id"],
        tags=[{"key": key, "value": value} for key, value in tags.items()],
        **logged,
    )
    return version["model_version"]["version"]


def make_champion(server: MlflowServer, name: str, version: str) -> None:
    """By the alias, or the stage before there were any."""
    if server.version.key == "3":
        server.rest("registered-models/alias", name=name, alias="champion", version=version)
    else:
        server.rest(
            "model-versions/transition-stage",
            name=name,
            version=version,
            stage="Production",
            archive_existing_versions=True,
        )


def _upload(server: MlflowServer, files: Path, artifact_uri: str) -> None:
    """Through the server, which asks nobody for a password."""
    root = artifact_uri.partition("mlflow-artifacts:/")[2].strip("/")
    assert root, artifact_uri
    for file in sorted(path for path in files.rglob("*") if path.is_file()):
        request = urllib.request.Request(
            f"{server.uri}/api/2.0/mlflow-artifacts/artifacts/{root}/"
            f"{file.relative_to(files).as_posix()}",
            data=file.read_bytes(),
            headers={"Content-Type": "application/octet-stream"},
            method="PUT",
        )
        with urllib.request.urlopen(request, timeout=20):
            pass
