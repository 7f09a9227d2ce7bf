"""``model_deployment`` and ``make image``: files that serve, on disk and in S3."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS, MODEL_PACKAGES
from wine_quality.packaging.image import dockerfile, write_context
from wine_quality.packaging.repository import SERVED, SETTINGS, write_repository
from wine_quality.packaging.requirements import LOCKS, locked, pins
from wine_quality.packaging.served_model import (
    ServedModel,
    UnservableModelError,
    read_model,
)
from wine_quality_tests.support.servers import await_condition, dying_with_us, free_port
from wine_quality_tests.support.serving import NAME, Serve, run_job, serving_environment
from wine_quality_tests.support.warm_commands import run_command

SIGNATURE = '[{"name": "pH", "type": "double"}, {"name": "alcohol", "type": "long"}]'
PACKAGES = {"scikit-learn": "1.9.1", "numpy": "2.4.6"}


def logged(folder: Path, **changed) -> Path:
    """MLflow's files of a model; ``changed`` replaces parts of its MLmodel."""
    folder.mkdir(parents=True)
    (folder / "model.skops").write_bytes(b"an estimator")
    pinned = "\n".join(f"{name}=={version}" for name, version in PACKAGES.items())
    (folder / "requirements.txt").write_text(f"mlflow==3.17.2\n{pinned}\n")
    described = {
        "flavors": {
            "python_function": {"python_version": "3.11.7"},
            "sklearn": {"pickled_model": "model.skops", "serialization_format": "skops"},
        },
        "mlflow_version": "3.17.2",
        "signature": {"inputs": SIGNATURE},
        **changed,
    }
    (folder / "MLmodel").write_text(yaml.safe_dump(described))
    (folder / "input_example.json").write_text(
        json.dumps({"columns": ["pH", "alcohol"], "data": [[3.3, 11]]})
    )
    return folder


def test_what_a_models_files_say(tmp_path):
    model = read_model(logged(tmp_path / "model"), NAME, "7", "run")
    assert model.columns == (("pH", "FP64"), ("alcohol", "INT64"))
    assert dict(model.packages) == PACKAGES
    assert (model.python, model.serialization) == ("3.11", "skops")
    assert model.request([[3.3, 11.0], [3.1, 9.0]])["inputs"][0] == {
        "name": "pH",
        "shape": [2],
        "datatype": "FP64",
        "data": [3.3, 3.1],
    }


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({"signature": None}, "has no signature"),
        ({"signature": {"inputs": '[{"name": "region", "type": "string"}]'}}, "only named numeric"),
        ({"signature": {"inputs": '[{"type": "tensor"}]'}}, "only named numeric"),
        ({"flavors": {"pytorch": {}}}, "is not a scikit-learn model"),
        ({"flavors": 3}, "cannot be read"),
        ({"flavors": {"sklearn": {}, "python_function": {}}}, "cannot be read"),
        ({"signature": {"inputs": "{"}}, "cannot be read"),
        (
            {
                "flavors": {
                    "python_function": {"python_version": "3.11.7"},
                    "sklearn": {
                        "pickled_model": "../../secret",
                        "serialization_format": "pickle",
                    },
                }
            },
            "outside",
        ),
    ],
)
def test_a_model_that_cannot_be_served(tmp_path, changed, expected):
    folder = logged(tmp_path / "model", **changed)
    with pytest.raises(UnservableModelError, match=expected):
        read_model(folder, NAME, "7", "run")


def test_the_package_of_a_family_is_served_with_it(tmp_path):
    folder = logged(tmp_path / "model")
    file = folder / "requirements.txt"
    file.write_text(f"{file.read_text()}\nlightgbm==4.6.0\nsome-other==1.0\n")
    packages = dict(read_model(folder, NAME, "7", "run").packages)
    assert packages["lightgbm"] == "4.6.0" and "some-other" not in packages


def test_a_model_without_pins_cannot_be_served(tmp_path):
    folder = logged(tmp_path / "model")
    (folder / "requirements.txt").write_text("mlflow\n")
    with pytest.raises(UnservableModelError, match="pins no scikit-learn"):
        read_model(folder, NAME, "7", "run")


@pytest.mark.parametrize("key", list(MLFLOW_VERSIONS))
def test_each_version_has_a_lock_that_fits_its_models(key):
    """With the versions that its own environment's lock file holds."""
    version = MLFLOW_VERSIONS[key]
    for python in ("3.11", "3.12"):
        if python not in version.pythons:
            continue
        trained = pins(version.lock_file.read_text(), python)
        packages = tuple((name, trained[name]) for name in MODEL_PACKAGES if name in trained)
        model = ServedModel(NAME, "1", "", "", python, "", "", (), packages, ())
        assert locked(model) == (LOCKS / f"serving-{key}.txt").read_text()


def test_no_lock_names_an_index():
    for lock in LOCKS.glob("serving-*.txt"):
        assert not re.search(r"--(extra-)?index-url|https?://", lock.read_text()), lock


def test_the_repository_is_whole_or_what_was_before(tmp_path):
    files = logged(tmp_path / "model")
    model = read_model(files, NAME, "7", "run")
    place = write_repository(model, files, "numpy==2.4.6\n", tmp_path / "repository")
    settings = json.loads((place / SETTINGS).read_text())
    assert settings["implementation"] == "wine_quality_runtime.model.WineQualityModel"
    assert settings["parameters"]["version"] == "7"
    assert (place / "wine_quality_runtime" / "model.py").exists()
    (files / model.file).unlink()
    with pytest.raises(UnservableModelError, match=r"model\.skops is missing"):
        write_repository(model, files, "", tmp_path / "repository")
    assert json.loads((place / SERVED).read_text())["version"] == "7"
    assert [entry.name for entry in (tmp_path / "repository").iterdir()] == [NAME]


def test_the_dockerfile(tmp_path):
    files = logged(tmp_path / "model")
    model = read_model(files, NAME, "7", "run")
    text = dockerfile(model)
    assert "USER 1000:1000" in text
    assert "--require-hashes" in text
    assert "HEALTHCHECK" in text
    place = write_repository(model, files, "numpy==2.4.6\n", tmp_path / "repository")
    context = write_context(model, place, tmp_path / "context")
    copied = re.findall(r"^COPY (?!--from)(\S+) ", text, re.MULTILINE)
    assert all((context / source).exists() for source in copied), copied
    hadolint = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    assert hadolint is not None
    done = subprocess.run([hadolint, context / "Dockerfile"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    home = tmp_path_factory.mktemp("trained")
    run_job(home, MLFLOW_VERSIONS["3"])
    return home


@pytest.fixture
def deployed_home(trained, monkeypatch) -> Path:
    monkeypatch.setenv("WINE_QUALITY_HOME", str(trained))
    for name in ("DAGSTER_HOME", "MLFLOW_TRACKING_URI", "WINE_QUALITY_ASSETS"):
        monkeypatch.delenv(name, raising=False)
    return trained


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, timeout=240)


def started_as_the_image_does(context: Path, python: Path, **variables: str) -> dict[str, str]:
    """Command and environment of the container: the Dockerfile's own, its paths put here."""
    text = (context / "Dockerfile").read_text()
    env = re.search(r"^ENV ((?:.*\\\n)*.*)$", text, re.MULTILINE)
    assert env is not None
    pairs = dict(part.split("=", 1) for part in shlex.split(env[1].replace("\\\n", " ")))
    here = {
        name: value.replace("/mnt/models", str(context / "models")) for name, value in pairs.items()
    }
    entry = json.loads(re.search(r"^ENTRYPOINT (.*)$", text, re.MULTILINE)[1])  # type: ignore[index]
    arguments = json.loads(re.findall(r"^CMD (.*)$", text, re.MULTILINE)[-1])
    assert entry[0] == "python"
    return {
        **{**here, "PATH": f"{python.parent}:/usr/bin:/bin", "MLSERVER_HOST": "127.0.0.1"},
        **variables,
        "COMMAND": json.dumps(
            [str(python), *entry[1:], str(context / "models")]
            if arguments == ["/mnt/models"]
            else []
        ),
    }


@pytest.mark.slow
def test_the_images_entry_point_without_an_engine(deployed_home, tmp_path):
    """Its environment and its command; the container's isolation is what is missing."""
    from wine_quality.datasets.contract import FEATURES

    context = tmp_path / "context"
    done = command("image", "--output", str(context), "--no-build")
    assert done.returncode == 0, done.stderr
    assert "docker build --tag localhost/wine-quality-model:1" in done.stdout
    ports = {f"MLSERVER_{name}_PORT": str(free_port()) for name in ("HTTP", "GRPC", "METRICS")}
    environment = started_as_the_image_does(context, serving_environment(), **ports)
    entry = json.loads(environment.pop("COMMAND"))
    log = tmp_path / "log"
    process = subprocess.Popen(
        dying_with_us(*entry),
        env=environment,
        cwd="/tmp",
        stdout=log.open("wb"),
        stderr=subprocess.STDOUT,
    )
    try:
        health = [str(serving_environment()), "-m", "wine_quality_runtime.health"]

        def healthy() -> bool:
            assert process.poll() is None, log.read_text()
            return subprocess.run(health, env=environment, capture_output=True).returncode == 0

        await_condition(healthy, "the image's health check")
        import requests

        base = f"http://127.0.0.1:{ports['MLSERVER_HTTP_PORT']}/v2"
        example = (context / "models" / NAME / "example-request.json").read_bytes()
        answer = requests.post(f"{base}/models/{NAME}/infer", example, timeout=30)
        expected = json.loads((context / "models" / NAME / "example-response.json").read_text())
        assert answer.json()["outputs"][0]["data"] == pytest.approx(expected, rel=0, abs=1e-12)
        metadata = requests.get(f"{base}/models/{NAME}", timeout=30).json()
        assert [tensor["name"] for tensor in metadata["inputs"]] == list(FEATURES)
        metrics = f"http://127.0.0.1:{ports['MLSERVER_METRICS_PORT']}/metrics"
        assert "model_infer_request_success" in requests.get(metrics, timeout=30).text
    finally:
        process.terminate()
        assert process.wait(30) == 0, log.read_text()
    assert subprocess.run(health, env=environment, capture_output=True).returncode == 1


@pytest.mark.slow
def test_deployed_to_s3(deployed_home, s3, monkeypatch, tmp_path):
    """Manifests for all three targets; the files in the store are those on disk."""
    import boto3

    monkeypatch.setenv("WINE_QUALITY_DEPLOYMENTS", "s3://wines/deployments")
    done = command("deploy", "--verbose")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "s3://wines/deployments/mlflow-3/ElasticnetWineModel/1" in done.stdout
    client = boto3.client("s3", endpoint_url=s3)
    listed = client.list_objects_v2(Bucket="wines", Prefix="deployments/")["Contents"]
    found = {
        entry["Key"].removeprefix(f"deployments/mlflow-3/{NAME}/1/"): client.get_object(
            Bucket="wines", Key=entry["Key"]
        )["Body"].read()
        for entry in listed
    }
    manifests = {name for name in found if name.startswith("manifests/")}
    assert manifests == {
        f"manifests/{name}.yaml"
        for name in ("seldon-core-v2", "seldon-core-v1", "kserve", "secret.example")
    }
    (v2_server, v2_model) = yaml.safe_load_all(found["manifests/seldon-core-v2.yaml"])
    assert v2_model["spec"]["storageUri"] == (
        f"s3://wines/deployments/mlflow-3/{NAME}/1/repository/{NAME}"
    )
    assert v2_model["spec"]["requirements"] == v2_server["spec"]["capabilities"]
    _, estimator = found[f"repository/{NAME}/{SERVED}"], found[f"repository/{NAME}/model.skops"]
    import hashlib

    served = json.loads(found[f"repository/{NAME}/{SERVED}"])
    assert served["sha256"] == hashlib.sha256(estimator).hexdigest()
    # Seldon's agent copies that folder and writes the settings anew; it must load all the same.
    folder = tmp_path / "agent" / "elasticnet-wine-model" / "1"
    for name, content in found.items():
        if name.startswith("repository/"):
            file = folder / name.removeprefix(f"repository/{NAME}/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
    _rewrite_as_seldon_does(folder / SETTINGS)
    _assert_loads_by_the_repository_api(folder.parents[1], tmp_path)


def _rewrite_as_seldon_does(settings: Path) -> None:
    """Name and version of its own; ``extra``, inputs and outputs are gone (agent's source)."""
    given = json.loads(settings.read_text())
    rewritten = {
        "name": "elasticnet-wine-model_1",
        "implementation": given["implementation"],
        "platform": given["platform"],
        "versions": given["versions"],
        "parameters": {"version": "1"},
    }
    settings.write_text(json.dumps(rewritten))


def _assert_loads_by_the_repository_api(models: Path, folder: Path) -> None:
    """As Seldon Core 2 starts our image: empty at first, then told to load."""
    import requests

    source = next(models.rglob("wine_quality_runtime")).parent
    baked = folder / "baked"
    shutil.copytree(source, baked)
    agent = folder / "agent-models"
    agent.mkdir()
    ports = {f"MLSERVER_{name}_PORT": str(free_port()) for name in ("HTTP", "GRPC", "METRICS")}
    process = subprocess.Popen(
        dying_with_us(serving_environment(), "-m", "wine_quality_runtime.server", agent),
        env={
            **ports,
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(baked),
            "MLSERVER_HOST": "127.0.0.1",
            "MLSERVER_LOAD_MODELS_AT_STARTUP": "false",
            "WINE_QUALITY_SERVE_REPOSITORY_API": "true",
        },
        cwd=folder,
    )
    base = f"http://127.0.0.1:{ports['MLSERVER_HTTP_PORT']}/v2"
    name = "elasticnet-wine-model_1"

    def answers() -> bool:
        try:
            return requests.get(f"{base}/health/live", timeout=5).ok
        except requests.ConnectionError:
            return False

    try:
        await_condition(answers, "the server")
        shutil.copytree(models / "elasticnet-wine-model" / "1", agent / name)
        loaded = requests.post(f"{base}/repository/models/{name}/load", timeout=60)
        assert loaded.status_code == 200, loaded.text
        example = (agent / name / "example-request.json").read_bytes()
        answer = requests.post(f"{base}/models/{name}/infer", example, timeout=30)
        expected = json.loads((agent / name / "example-response.json").read_text())
        assert answer.json()["outputs"][0]["data"] == pytest.approx(expected, rel=0, abs=1e-12)
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.slow
def test_waits_for_the_local_server(deployed_home):
    with Serve(deployed_home, MLFLOW_VERSIONS["3"]) as serve:
        # Both start at once: the asset waits until the server answers.
        config = deployed_home / "deploy.yaml"
        config.write_text(
            "ops: {model_deployment: {config: {target: local, "
            f"local_server: {serve.url}, timeout_seconds: 100}}}}}}\n"
        )
        done = command("deploy", "--config", str(config))
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"deployed to    {serve.url}" in done.stdout
    config.write_text(config.read_text().replace("100", "1"))
    failed = command("deploy", "--config", str(config))
    assert failed.returncode == 1
    assert "Is `make serve` running" in failed.stderr


@pytest.mark.slow
def test_targets_that_are_not_there(deployed_home, monkeypatch):
    failed = command("deploy", "--target", "kserve")
    assert failed.returncode == 1
    assert "kubernetes_context is empty" in failed.stderr
    failed = command("deploy", "--version", "12")
    assert failed.returncode == 1
    assert f"{NAME} has no version 12" in failed.stderr


@pytest.mark.slow
@pytest.mark.parametrize("key", ["1.26", "2.1.1"])
def test_the_older_versions_deploy_with_their_own_client(home, key):
    version = MLFLOW_VERSIONS[key]
    if not version.python.exists():
        pytest.skip(f"no environment of MLflow {key}")
    run_job(home, version)
    done = command("deploy", "--mlflow", key)
    assert done.returncode == 0, done.stdout + done.stderr
    place = home / "deployments" / f"mlflow-{key}" / NAME / "1"
    served = json.loads((place / "repository" / NAME / SERVED).read_text())
    assert served["mlflow_version"].startswith(version.client)
    assert (place / "manifests" / "kserve.yaml").exists()
