"""Models that were tampered with are not unpickled: on each version's real server.

The payload makes a file when it is unpickled, which the first test sees; then nobody may.
"""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.model_files import model_sha256
from wine_quality.tracking.registry.provenance import HASH_TAG, SIGNATURE_TAG
from wine_quality_tests.attacks.hand_made import (
    Payload,
    make_champion,
    put_payload,
    register,
    tags_of,
)
from wine_quality_tests.faults.fault_proxy import FaultProxy
from wine_quality_tests.integration.test_promotion import BEST, POOR, Registry
from wine_quality_tests.support.serving import Serve
from wine_quality_tests.support.warm_commands import run_command

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


def forget_tag(registry: Registry, version: str, key: str) -> None:
    registry.server.rest(
        "model-versions/delete-tag", "DELETE", name=registry.name, version=version, key=key
    )


def version_of(registry: Registry, number: str) -> dict:
    [found] = [v for v in registry.server.versions(registry.name) if v["version"] == number]
    return found


def test_a_version_from_before_is_refused_until_somebody_vouches_for_it(registry, tmp_path):
    """It has the hash that was noted then, and no signature. Nothing takes its place unasked."""
    forget_tag(registry, "1", SIGNATURE_TAG)
    done = image(registry, tmp_path, "1")
    assert done.returncode == 1
    assert "make trust VERSION=1" in done.stderr
    output = registry.train(BEST)
    assert "version 1 stays the champion, for nobody can compare with it" in output
    assert "make trust VERSION=1" in output
    assert (registry.champion, registry.challenger) == ("1", "2")
    registry.do("promote")
    assert "make trust VERSION=1" in registry.do("rollback", ok=False)
    assert registry.champion == "2"

    done = command(registry, "trust", "--version", "all")
    assert (done.returncode, "Nothing was signed" in done.stderr) == (1, True), done.stderr
    assert model_sha256(files_of(registry, "1")) in done.stdout
    assert f"{registry.name} version 2," not in done.stdout  # signed already
    assert SIGNATURE_TAG not in tags_of(version_of(registry, "1"))
    done = command(registry, "trust", "--version", "all", "--yes")
    assert done.returncode == 0, done.stderr
    assert "1 version(s) are signed now" in done.stdout
    assert image(registry, tmp_path, "1").returncode == 0
    registry.do("rollback")
    assert registry.champion == "1"
    assert "Nothing to sign" in command(registry, "trust").stdout


def test_another_key_is_named_and_an_old_one_stays_accepted(registry, tmp_path, monkeypatch):
    theirs, ours = "0" * 64, "1" * 64
    monkeypatch.setenv("WINE_QUALITY_SIGNING_KEY", theirs)
    done = image(registry, tmp_path, "1")
    assert "it was signed with another key than those in $WINE_QUALITY_SIGNING_KEY" in done.stderr
    home = Path(os.environ["WINE_QUALITY_HOME"])
    monkeypatch.setenv("WINE_QUALITY_SIGNING_KEY", f"{ours},{(home / 'signing.key').read_text()}")
    assert image(registry, tmp_path, "1").returncode == 0
    monkeypatch.setenv("WINE_QUALITY_SIGNING_KEY", "short")
    assert "is shorter than 32 characters" in image(registry, tmp_path, "1").stderr


def test_a_hand_made_champion_is_nowhere_loaded(registry, tmp_path):
    """By the server's HTTP API alone: a run that looks like the pipeline's, a pickle, its hash, the
    role; with no signature, or one copied from a genuine version."""
    genuine = version_of(registry, "1")
    files, canary = tmp_path / "files", tmp_path / "canary"
    shutil.copytree(files_of(registry, "1"), files)
    put_payload(files, canary)
    copied = tags_of(genuine)[SIGNATURE_TAG]
    version = ""
    for signature, refusal in (
        ("", "the signature in its tag wine_quality.signature cannot be read"),
        (copied, "its signature was made for another model, run or files"),
        (_with_hash(copied, files), "its signature was made for another model, run or files"),
    ):
        version = register(registry.server, genuine, files, {SIGNATURE_TAG: signature})
        assert refusal in image(registry, tmp_path, version).stderr
    make_champion(registry.server, registry.name, version)
    assert refusal in registry.do("deploy", ok=False)
    forget_record(registry)
    output = registry.train(POOR)
    assert f"version {version} stays the champion, for nobody can compare with it" in output
    assert refusal in output
    assert registry.champion == version
    assert refusal in registry.do("promote", "--version", version, ok=False)
    with serving(registry) as server:
        server.await_output(refusal)
        assert "serving " not in server.output
    # Its run has the tags of a genuine one, but Dagster's run knows which one it made.
    done = command(registry, "trust", "--version", version, "--yes")
    assert done.returncode == 1, done.stdout
    assert ("a pickle" in done.stdout) == (registry.key == "3")
    assert ("does not know that it made" in done.stdout) == (registry.key != "3")
    assert not canary.exists()
    make_champion(registry.server, registry.name, "1")


def _with_hash(signature: str, files: Path) -> str:
    parts = signature.split(":")
    return ":".join([*parts[:4], model_sha256(files), *parts[5:]])


def serving(registry: Registry) -> Serve:
    """`make serve` of this model."""
    home = Path(os.environ["WINE_QUALITY_HOME"])
    options = ("--model", registry.name, "--tracking-uri", registry.server.uri)
    return Serve(home, MLFLOW_VERSIONS[registry.key], *options)


def test_what_is_changed_before_it_is_registered_is_not_signed(registry, tmp_path):
    """The signature is of what was trained, not of what the store holds a moment later."""
    proxy = FaultProxy(registry.server.uri)
    proxy.hold(r"/model-versions/create")
    log = tmp_path / "log"
    training = subprocess.Popen(
        registry.command("run", uri=proxy.uri),
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
        cwd=PROJECT_ROOT,
    )
    try:
        assert proxy.held.wait(90), log.read_text()
        folder = newest_files(registry)
        put_payload(folder, tmp_path / "canary")
        proxy.release()
        training.wait(90)
    finally:
        training.kill()
        proxy.stop()
    newest = max(registry.server.versions(registry.name), key=lambda one: int(one["version"]))
    done = image(registry, tmp_path, newest["version"])
    assert "is not loaded: its files have the SHA-256" in done.stderr, log.read_text()
    assert not (tmp_path / "canary").exists()


def newest_files(registry: Registry) -> Path:
    """Of the model that was logged last."""
    return max(
        registry.server.artifacts.rglob("MLmodel"), key=lambda one: one.stat().st_mtime
    ).parent


def test_a_tampered_model_is_neither_compared_nor_served(registry, tmp_path):
    [first] = [v for v in registry.server.versions(registry.name) if v["version"] == "1"]
    noted = {tag["key"]: tag["value"] for tag in first["tags"]}[HASH_TAG]
    folder = files_of(registry, "1")
    assert model_sha256(folder) == noted
    # Untouched it is loaded, and better.
    forget_record(registry)
    assert "version 1 (RMSE" in registry.train(POOR)
    assert image(registry, tmp_path, "1").returncode == 0

    canary = tmp_path / "canary"
    put_payload(folder, canary)
    refused = f"{registry.name} version 1 is not loaded: its files have the SHA-256 "
    done = image(registry, tmp_path, "1")
    assert done.returncode == 1
    assert refused in done.stderr
    output = registry.do("deploy", "--version", "1", ok=False)
    assert refused in output
    forget_record(registry)
    output = registry.train(POOR)
    assert "version 1 stays the champion, for nobody can compare with it" in output
    assert registry.champion == "1"
    forget_tag(registry, "1", SIGNATURE_TAG)
    assert command(registry, "trust", "--version", "1", "--yes").returncode == 1
    assert not canary.exists()
