"""The main job as people start it, for each MLflow version, against its real server."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import mlflow
import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.paths import PROJECT_ROOT
from wine_quality.tracking.servers.server_check import TrackingServerError, check_server
from wine_quality_tests.support.warm_commands import run_command, run_python

pytestmark = pytest.mark.slow

EXPECTED = {"rmse": 0.7931640229276851, "mae": 0.6271946374319586, "r2": 0.10862644997792614}
TRAIN_RMSE = 0.7440601173066265

# Runs in the version's own environment: loads the model back and predicts.
READ_BACK = """
import json, sys, pathlib, tempfile
import mlflow, pandas as pd
from mlflow.tracking import MlflowClient
uri, run_id = sys.argv[1:3]
mlflow.set_tracking_uri(uri)
client = MlflowClient()
run = client.get_run(run_id)
[version] = [v for v in client.search_model_versions("name='ElasticnetWineModel'")
             if v.run_id == run_id]
folder = tempfile.mkdtemp()
model_uri = f"models:/ElasticnetWineModel/{version.version}"
from mlflow.artifacts import download_artifacts
local = pathlib.Path(download_artifacts(artifact_uri=model_uri, dst_path=folder))
from wine_quality.datasets.contract import FEATURES
from wine_quality.paths import PACKAGED_RED_WINE
wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")[list(FEATURES)]
predicted = mlflow.pyfunc.load_model(str(local)).predict(wines)
print(json.dumps({
    "status": run.info.status,
    "metrics": run.data.metrics,
    "params": run.data.params,
    "tags": run.data.tags,
    "files": sorted(p.name for p in local.iterdir()),
    "MLmodel": (local / "MLmodel").read_text(),
    "plots": sorted(f.path for f in client.list_artifacts(run_id, "plots")),
    "mean": float(predicted.mean()),
    "description": version.description,
    "version_tags": version.tags,
}))
"""


def run_cli(*arguments: str) -> subprocess.CompletedProcess[str]:
    return run_command("run", *arguments)


def printed(output: str, name: str) -> str:
    found = re.search(rf"^{name}\s+(.+)$", output, re.MULTILINE)
    assert found, output
    return found[1]


def read_back(version, uri: str, run_id: str) -> dict:
    answer = run_python(
        *(version.python, "-W", "ignore", "-c", READ_BACK, uri, run_id),
        env=version.process_variables(),
    )
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout.splitlines()[-1])


def test_main_job_leaves_a_whole_run_on_the_server(home, mlflow_version, mlflow_server):
    uri = mlflow_server(mlflow_version).uri
    done = run_cli("--mlflow", mlflow_version.key, "--tracking-uri", uri)
    assert done.returncode == 0, done.stdout + done.stderr
    for name, value in EXPECTED.items():
        assert float(printed(done.stdout, name)) == pytest.approx(value, abs=1e-12)

    left = read_back(mlflow_version, uri, printed(done.stdout, "MLflow run"))
    assert left["status"] == "FINISHED"
    assert left["metrics"] == pytest.approx({**EXPECTED, "train_rmse": TRAIN_RMSE}, abs=1e-12)
    assert left["params"]["alpha"] == "0.5"
    dagster_run = printed(done.stdout, "Dagster run")
    assert left["tags"]["dagster.run_id"] == dagster_run
    assert left["version_tags"]["dagster.run_id"] == dagster_run
    assert len(left["tags"]["data_sha256"]) == 64
    model_file = "model.skops" if mlflow_version.key == "3" else "model.pkl"
    wanted = {"MLmodel", model_file, "conda.yaml", "python_env.yaml", "requirements.txt"}
    assert wanted <= set(left["files"])
    client = re.search(r"mlflow_version: '?([\d.]+)", left["MLmodel"])
    assert client and client[1].startswith(mlflow_version.client.rstrip("."))
    assert left["plots"] == [
        "plots/coefficients.png",
        "plots/predicted_against_actual.png",
        "plots/residuals.png",
    ]
    assert left["mean"] == pytest.approx(5.6, abs=0.2)
    assert "rmse 0.793164" in left["description"]


def test_bad_data_fails_the_run_and_registers_nothing(
    home, mlflow_version, mlflow_server, tmp_path: Path
):
    uri = mlflow_server(mlflow_version).uri
    experiment = f"bad-{mlflow_version.key}"
    bad = tmp_path / "bad.csv"
    wines = (PROJECT_ROOT / "wine_quality/datasets/winequality-red.csv").read_text()
    bad.write_text(wines.replace('"alcohol"', '"alchohol"', 1))
    done = run_command(
        *("run", "--mlflow", mlflow_version.key, "--tracking-uri", uri),
        *("--experiment", experiment, "--csv-url", str(bad)),
    )
    assert done.returncode == 1
    assert "column 'alcohol': is missing" in done.stderr
    assert "alchohol" in done.stderr
    status = run_python(
        *(mlflow_version.python, "-W", "ignore", "-c"),
        "import sys; from mlflow.tracking import MlflowClient as C\n"
        "c = C(sys.argv[1]); e = c.get_experiment_by_name(sys.argv[2]).experiment_id\n"
        "print([r.info.status for r in c.search_runs([e])])",
        *(uri, experiment),
        env=mlflow_version.process_variables(),
    )
    assert status.stdout.strip() == "['FAILED']", status.stderr


def test_server_of_another_version_is_refused_before_training(home, mlflow_server):
    older = MLFLOW_VERSIONS["2.1.1"]
    if not older.python.exists():
        pytest.skip("no environment of MLflow 2.1.1")
    uri = mlflow_server(older).uri
    done = run_command("run", "--mlflow", "3", "--tracking-uri", uri)
    assert done.returncode == 1
    assert "runs MLflow 2.x" in done.stderr
    assert "needs a 3.x server" in done.stderr
    assert "no MLflow run was made" in done.stderr


@pytest.mark.parametrize("client", MLFLOW_VERSIONS.values(), ids=list(MLFLOW_VERSIONS))
def test_each_server_is_taken_or_refused(client, mlflow_version, mlflow_server):
    """``mlflow_version`` is the server's; the table says which pairs were run with success."""
    uri = mlflow_server(mlflow_version).uri
    if int(mlflow_version.client.split(".")[0]) in client.servers:
        check_server(uri, client)
    else:
        with pytest.raises(TrackingServerError, match="Pick the version that fits the server"):
            check_server(uri, client)


def test_the_2_1_1_client_works_with_a_3_server(home, mlflow_server):
    """The server is what people upgrade first."""
    client = MLFLOW_VERSIONS["2.1.1"]
    if not client.python.exists():
        pytest.skip("no environment of MLflow 2.1.1")
    uri = mlflow_server(MLFLOW_VERSIONS["3"]).uri
    arguments = ("--mlflow", "2.1.1", "--tracking-uri", uri, "--experiment", "upgraded")
    done = run_command("run", *arguments)
    assert done.returncode == 0, done.stderr
    left = read_back(client, uri, printed(done.stdout, "MLflow run"))
    assert left["status"] == "FINISHED"
    assert "mlflow_version: 2.1.1" in left["MLmodel"]
    assert left["mean"] == pytest.approx(5.6, abs=0.2)


def test_mlflow_3_keeps_lineage_signature_and_an_example(home, tmp_path):
    """And writes a pickle when asked to."""
    from mlflow.models import get_model_info
    from mlflow.tracking import MlflowClient

    config = tmp_path / "run.yaml"
    config.write_text("resources: {mlflow: {config: {model_format: pickle}}}")
    done = run_command("run", "--config", str(config))
    assert done.returncode == 0, done.stderr
    uri = f"sqlite:///{home / 'mlflow-3' / 'mlflow.db'}"
    client = MlflowClient(uri)
    run = client.get_run(printed(done.stdout, "MLflow run"))
    used = {entry.dataset.name: entry for entry in run.inputs.dataset_inputs}
    contexts = {name: [tag.value for tag in entry.tags] for name, entry in used.items()}
    assert contexts == {"wine_quality_train": ["training"], "wine_quality_test": ["test"]}
    assert all("winequality-red.csv" in entry.dataset.source for entry in used.values())
    [version] = client.search_model_versions("name='ElasticnetWineModel'")
    mlflow.set_tracking_uri(uri)
    model = get_model_info(f"models:/ElasticnetWineModel/{version.version}")
    assert model.signature is not None
    assert model.signature.inputs.input_names() == list(FEATURES)
    assert model.saved_input_example_info is not None
    [folder] = (home / "mlflow-3" / "artifacts").rglob("MLmodel")
    assert (folder.parent / "model.pkl").exists()
    requirements = (folder.parent / "requirements.txt").read_text().split()
    assert f"mlflow=={mlflow.__version__}" in requirements
    assert all("==" in line for line in requirements)


def test_embedded_store_needs_no_server(home):
    done = run_cli()
    assert done.returncode == 0, done.stderr
    assert (home / "mlflow-3" / "mlflow.db").exists()
    assert float(printed(done.stdout, "rmse")) == pytest.approx(EXPECTED["rmse"], abs=1e-12)
