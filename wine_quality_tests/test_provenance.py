"""Models that were tampered with are not unpickled: on each version's real server.

The payload makes a file when it is unpickled, which the first test sees; then nobody may.
"""

from __future__ import annotations

import json
import pickle
import shutil
import subprocess
import urllib.error
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.versions import MLFLOW_VERSIONS
from wine_quality.tracking.provenance import HASH_TAG, model_sha256
from wine_quality_tests.test_promotion import BEST, POOR, Registry
from wine_quality_tests.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]


@pytest.fixture(scope="module", params=list(MLFLOW_VERSIONS))
def registry(request, mlflow_server, tmp_path_factory) -> Iterator[Registry]:
    """With one version; the test that tampers with it comes last."""
    version = MLFLOW_VERSIONS[request.param]
    if not version.python.exists():
        pytest.skip(f"no environment of MLflow {version.key}")
    folder = tmp_path_factory.mktemp(f"provenance-{version.key}")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_METRICS_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("WINE_QUALITY_HOME", str(folder / "home"))
        made = Registry(version, mlflow_server(version), folder)
        made.train(BEST)
        yield made


class Payload:
    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self):
        return Path.touch, (self.canary,)


def files_of(registry: Registry, version: str) -> Path:
    """Where the server keeps the model's files."""
    [found] = [v for v in registry.server.versions(registry.name) if v["version"] == version]
    artifacts = registry.server.artifacts
    if found["source"].startswith("models:/"):
        return next(
            artifacts.glob(f"*/models/{found['source'].removeprefix('models:/')}/artifacts")
        )
    return next(artifacts.glob(f"*/{found['run_id']}/artifacts/model"))


def forget_record(registry: Registry) -> None:
    """Of the numbers of the models so far, so that comparing with them is loading them."""
    for run in registry.server.runs(registry.name):
        for record in registry.server.artifacts.glob(f"*/{run['info']['run_id']}/**/training"):
            shutil.rmtree(record)


def put_payload(folder: Path, canary: Path) -> None:
    """In the place of the estimator, whatever its format was."""
    described = (folder / "MLmodel").read_text()
    described = described.replace("model.skops", "model.pkl").replace(": skops", ": cloudpickle")
    (folder / "MLmodel").write_text(described)
    (folder / "model.pkl").write_bytes(pickle.dumps(Payload(canary)))


def image(registry: Registry, folder: Path, version: str) -> subprocess.CompletedProcess:
    return command(
        registry, "image", "--no-build", "--version", version, "--output", str(folder / "image")
    )


def command(registry: Registry, name: str, *options: str) -> subprocess.CompletedProcess:
    return run_command(
        *(name, "--mlflow", registry.key, *options),
        *("--model", registry.name, "--tracking-uri", registry.server.uri),
    )


def test_the_payload_would_run(tmp_path):
    pickle.loads(pickle.dumps(Payload(tmp_path / "canary")))
    assert (tmp_path / "canary").exists()


def test_a_version_without_a_hash_is_refused_until_somebody_vouches_for_it(registry, tmp_path):
    registry.server.rest(
        "model-versions/delete-tag", "DELETE", name=registry.name, version="1", key=HASH_TAG
    )
    done = image(registry, tmp_path, "1")
    assert done.returncode == 1
    assert "make trust VERSION=1" in done.stderr
    done = command(registry, "trust")
    assert done.returncode == 0, done.stderr
    assert model_sha256(files_of(registry, "1")) in done.stdout
    assert image(registry, tmp_path, "1").returncode == 0


def test_a_version_of_another_run_is_refused_whatever_its_tags_say(registry, tmp_path):
    """Whoever may register may write any tag; the run must be one of this pipeline's, and the
    files its model."""
    [first] = registry.server.versions(registry.name)
    tags = [tag for tag in first["tags"] if tag["key"] == HASH_TAG]
    experiment = registry.server.runs(registry.name)[0]["info"]["experiment_id"]
    other = registry.server.rest("runs/create", experiment_id=experiment)["run"]["info"]
    canary = tmp_path / "canary"
    foreign = registry.server.artifacts / experiment / other["run_id"] / "artifacts" / "model"
    shutil.copytree(files_of(registry, "1"), foreign)
    put_payload(foreign, canary)
    tags[0]["value"] = model_sha256(foreign)
    tried = 0
    for run_id in (other["run_id"], first["run_id"]):
        source = f"{other['artifact_uri']}/model"
        try:
            made = registry.server.rest(
                "model-versions/create", name=registry.name, source=source, run_id=run_id, tags=tags
            )["model_version"]
        except urllib.error.HTTPError as error:
            assert run_id == first["run_id"], error.read()  # newer servers see that by themselves
            continue
        tried += 1
        done = image(registry, tmp_path, made["version"])
        assert done.returncode == 1
        assert "is not of a run of this pipeline" in done.stderr, done.stderr
        done = command(registry, "trust", "--version", made["version"])
        assert (done.returncode, "not of a run of this pipeline" in done.stderr) == (1, True)
    assert tried, json.dumps(first)
    assert not canary.exists()


def test_a_tampered_model_is_neither_compared_nor_served(registry, tmp_path):
    [first] = [v for v in registry.server.versions(registry.name) if v["version"] == "1"]
    noted = {tag["key"]: tag["value"] for tag in first["tags"]}[HASH_TAG]
    folder = files_of(registry, "1")
    assert model_sha256(folder) == noted
    # Untouched it is loaded, and better.
    forget_record(registry)
    assert "stays the champion" in registry.train(POOR)
    assert image(registry, tmp_path, "1").returncode == 0

    canary = tmp_path / "canary"
    put_payload(folder, canary)
    refused = f"{registry.name} version 1 is not loaded: its files have the SHA-256 "
    done = image(registry, tmp_path, "1")
    assert done.returncode == 1
    assert refused in done.stderr
    said = registry.do("deploy", "--version", "1", ok=False)
    assert refused in said
    forget_record(registry)
    said = registry.train(POOR)
    assert "takes the place of version 1, which cannot be loaded any more" in said
    newest = max(int(found["version"]) for found in registry.server.versions(registry.name))
    assert registry.champion == str(newest) != "1"
    assert command(registry, "trust", "--version", "1").returncode == 1
    assert not canary.exists()
