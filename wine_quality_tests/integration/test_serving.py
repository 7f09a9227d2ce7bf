"""``make serve``: the champion over REST and gRPC, on all that happens to it."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from wine_quality.datasets.contract import FEATURES
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality.metrics_history.database import VARIABLE
from wine_quality.paths import PROJECT_ROOT
from wine_quality.serving.backend import _of_prediction_log
from wine_quality.tracking.model_files import model_sha256
from wine_quality.tracking.registry.champion import CHAMPION
from wine_quality.tracking.registry.provenance import (
    SIGNATURE_TAG,
    require_signature,
    signature,
)
from wine_quality.tracking.registry.signing_key import key_file
from wine_quality_tests.support.servers import MlflowServer, await_condition
from wine_quality_tests.support.serving import (
    NAME,
    Load,
    Serve,
    alive,
    await_count,
    over_grpc,
    request_of,
    run_job,
    serving_environment,
)
from wine_quality_tests.support.warm_commands import run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

_PREDICT = """
import json, sys
import mlflow, pandas as pd
from wine_quality.tracking.resource import MlflowTracker, VersionKey
tracker = MlflowTracker(version=VersionKey(sys.argv[1])).connect(print)
from wine_quality.paths import PACKAGED_RED_WINE
wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")
features = wines[json.loads(sys.argv[2])].astype("float64")
found = tracker.predict("ElasticnetWineModel", "1", features)
print(json.dumps({"rows": features.to_numpy().tolist(), "predicted": [float(p) for p in found]}))
"""


def predicted_by_training_environment(home: Path, key: str) -> dict[str, Any]:
    """All wines, and what ``predict`` says of them in the environment that trained the model."""
    version = MLFLOW_VERSIONS[key]
    done = run_python(
        *(version.python, "-W", "ignore", "-c", _PREDICT, key, json.dumps(list(FEATURES))),
        env={**version.process_variables(), "WINE_QUALITY_HOME": str(home)},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_the_predictions_of_the_training_environment(mlflow_version, home):
    run_job(home, mlflow_version)
    expected = predicted_by_training_environment(home, mlflow_version.key)
    with Serve(home, mlflow_version) as serve:
        serve.await_version("1")
        rest = serve.predict(expected["rows"])
        grpc = json.loads(
            over_grpc(
                serving_environment(mlflow_version.key),
                serve.grpc_port,
                expected["rows"],
                "print(json.dumps(list(stub.ModelInfer(request(rows)).outputs[0].contents."
                "fp64_contents)))",
            )
        )
        status, metadata = serve.ask("GET", f"/v2/models/{NAME}/versions/1")
        assert status == 200
        assert [entry["name"] for entry in metadata["inputs"]] == list(FEATURES)
        assert metadata["parameters"]["mlflow_version"].startswith(mlflow_version.client)
    assert len(rest) == len(grpc) == 1599
    assert rest == pytest.approx(expected["predicted"], rel=0, abs=1e-12)
    assert grpc == pytest.approx(expected["predicted"], rel=0, abs=1e-12)
    assert serve.process.returncode == 0


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    """A home whose registry has versions 1 and 2, both of MLflow 3; 2 is the champion."""
    home = tmp_path_factory.mktemp("trained")
    run_job(home, MLFLOW_VERSIONS["3"])
    run_job(home, MLFLOW_VERSIONS["3"], "--alpha", "0.01")
    return home


@pytest.fixture
def registry(trained, home, tmp_path):
    """The test's home with those two versions, and its registry."""
    from wine_quality.tracking.resource import MlflowTracker, VersionKey

    pristine = tmp_path / "artifacts"
    shutil.copytree(trained, home)
    # Where the artifacts lie stands in the store; tests that harm them have them put back.
    artifacts = trained / "mlflow-3" / "artifacts"
    shutil.copytree(artifacts, pristine)
    tracker = MlflowTracker(version=VersionKey("3")).connect(print)
    yield tracker.registry(NAME)
    shutil.rmtree(artifacts)
    shutil.copytree(pristine, artifacts)


WINE = [7.4, 0.7, 0.0, 1.9, 0.076, 11.0, 34.0, 0.9978, 3.51, 0.56, 9.4]


def test_promotion_and_rollback_under_load(registry, home, tmp_path):
    """Zero failed requests while the champion changes eight times."""
    done = tmp_path / "done"
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_version("2")
        expected = {"2": serve.predict([WINE])[0]}
        grpc = subprocess.Popen(
            [str(serving_environment()), "-c", _grpc_load(serve.grpc_port, done)],
            stdout=subprocess.PIPE,
            text=True,
        )
        with Load(serve.port, WINE) as load:
            for version in ["1", "2"] * 4:
                before = load.count
                registry.assign_role(CHAMPION, version)
                serve.await_version(version)
                await_count(load, before + 300)
            await_count(load, 5000)
        done.write_text("done")
        over_grpc = json.loads(grpc.communicate(timeout=60)[0])
        registry.assign_role(CHAMPION, "1")
        serve.await_version("1")
        expected["1"] = serve.predict([WINE])[0]
    print(f"{load.count} over REST, {over_grpc['answers']} over gRPC")
    assert load.failures == []
    assert load.count >= 5000
    assert set(load.answers) == set(expected.items())
    assert over_grpc["failures"] == []
    assert over_grpc["answers"] > 500
    assert expected["1"] != expected["2"]


def _grpc_load(port: int, done: Path) -> str:
    from wine_quality_tests.support.serving import GRPC_CLIENT

    client = GRPC_CLIENT.replace("sys.argv[1]", repr(f"127.0.0.1:{port}")).replace(
        "json.loads(sys.argv[2]), json.loads(sys.argv[3])", f"{list(FEATURES)!r}, {[WINE]!r}"
    )
    return (
        client
        + f"""
import os
import re
failures, answers, asked = [], 0, request(rows)
while not os.path.exists({str(done)!r}):
    try:
        stub.ModelInfer(asked, timeout=30)
        answers += 1
    except grpc.RpcError as error:
        failures.append(str(error))
print(json.dumps({{"failures": failures, "answers": answers}}))
"""
    )


def test_killed_and_started_again(registry, home):
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_output("serving ElasticnetWineModel version 2")
        before, pid = serve.predict([WINE]), serve.server_pid
        os.kill(pid, signal.SIGKILL)
        await_condition(lambda: serve.server_pid != pid, "another server")
        # A connection that was made while there was none waits for it.
        assert serve.predict([WINE]) == before
        assert "died (exit code -9)" in serve.output

        pid = serve.server_pid
        serve.process.kill()
        serve.process.wait()
        await_condition(lambda: not alive(pid), "the server to end with its supervisor")
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_version("2")
        assert serve.predict([WINE]) == before


def test_a_champion_that_cannot_be_served(registry, home):
    """Damaged files, then a registry entry that vanishes: the old version goes on serving."""
    registry.assign_role(CHAMPION, "1")
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_version("1")
        before = serve.predict([WINE])
        second = registry.version("2")
        (estimator,) = _files_of(registry, second).glob("model.skops")
        whole = estimator.read_bytes()
        estimator.write_bytes(whole[: len(whole) // 2])
        with Load(serve.port, WINE, threads=1) as load:
            registry.assign_role(CHAMPION, "2")
            serve.await_output(
                "ElasticnetWineModel version 2 is not loaded: its files have the SHA"
            )
            assert "Version 1 goes on serving." in serve.output
            estimator.unlink()
            registry._client.delete_registered_model(NAME)
            serve.await_output("has no champion")
            await_count(load, load.count + 200)
        assert load.failures == []
        assert {version for version, _ in load.answers} == {"1"}
        assert serve.predict([WINE]) == before


def _files_of(registry, version) -> Path:
    uri = registry._client.get_model_version_download_uri(NAME, version.version)
    return Path(uri.removeprefix("file://"))


def test_a_model_that_predicts_something_else(registry, home):
    """The file loads, but it is not the model whose numbers the run recorded."""
    registry.assign_role(CHAMPION, "1")
    one, two = (_files_of(registry, registry.version(number)) for number in "12")
    shutil.copyfile(one / "model.skops", two / "model.skops")
    # Signed anew, or the hash alone would tell.
    found = registry.version("2")
    claims = replace(require_signature(found), files=model_sha256(two))
    registry._client.set_model_version_tag(NAME, "2", SIGNATURE_TAG, signature(claims))
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_version("1")
        registry.assign_role(CHAMPION, "2")
        serve.await_output("version 2 predicts")
        assert serve.version == "1"


def test_no_champion_yet(home):
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_output("has no champion; waiting for one")
        run_job(home, MLFLOW_VERSIONS["3"])
        serve.await_version("1")
        assert serve.infer(request_of([WINE]))[0] == 200


def test_another_environment_and_a_registry_that_is_away(home, tmp_path, monkeypatch):
    """A model that MLflow 2.1.1 logged takes over, with the NumPy that it was trained with; what
    was served last is served again while the tracking server is down."""
    from mlflow.tracking import MlflowClient

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "7")  # for runs, not for looks
    monkeypatch.setenv("WINE_QUALITY_LOADABLE_FORMATS", "skops,pickle")  # that of 2.1.1
    server = MlflowServer(MLFLOW_VERSIONS["3"], tmp_path / "mlflow")
    try:
        run_job(home, MLFLOW_VERSIONS["3"], "--tracking-uri", server.uri)
        with Serve(home, MLFLOW_VERSIONS["3"], "--tracking-uri", server.uri) as serve:
            serve.await_output("serving ElasticnetWineModel version 1")
            old = serve.server_pid
            run_job(home, MLFLOW_VERSIONS["2.1.1"], "--tracking-uri", server.uri, "--alpha", "0.1")
            client = MlflowClient(server.uri)
            with Load(serve.port, WINE, threads=1) as load:
                client.set_registered_model_alias(NAME, CHAMPION, "2")
                serve.await_version("2")
                await_count(load, load.count + 200)
            assert load.failures == []
            parameters = serve.ask("GET", f"/v2/models/{NAME}")[1]["parameters"]
            assert parameters["mlflow_version"] == "2.1.1"
            assert "numpy==1.26" in parameters["packages"]
            before = serve.predict([WINE])
            server.stop()
            serve.await_output("error: ")
            await_condition(lambda: not alive(old), "the one before to end")
            assert serve.predict([WINE]) == before
        with Serve(home, MLFLOW_VERSIONS["3"], "--tracking-uri", server.uri) as serve:
            serve.await_output("serving what was served")
            serve.await_version("2")
            assert serve.predict([WINE]) == before
    finally:
        server.stop()


def test_the_server_holds_no_credentials(registry, home):
    secrets = {
        "AWS_SECRET_ACCESS_KEY": "canary-aws",
        "MLFLOW_TRACKING_PASSWORD": "canary-mlflow",
        "WINE_QUALITY_ASSETS_SECRET": "canary-assets",
        "WINE_QUALITY_SIGNING_KEY": f"{key_file().read_text().strip()},{'canary-signing' * 4}",
        # Predictions are not logged, so that there is nothing to say them to.
        "PGPASSWORD": "canary-postgres",
        "PGPASSFILE": "/canary",
    }
    with Serve(home, MLFLOW_VERSIONS["3"], **secrets) as serve:
        serve.await_output("serving ElasticnetWineModel version 2")
        environment = Path(f"/proc/{serve.server_pid}/environ").read_text()
    assert "PYTHONPATH" in environment
    assert "canary" not in environment
    assert "PGPASS" not in environment


def test_the_server_gets_what_its_prediction_log_needs():
    given = {"PGPASSWORD": "p", "PGUSER": "u", "PGSSLMODE": "require", "PGSERVICEFILE": "/s"}
    of = lambda url: _of_prediction_log({**given, VARIABLE: url})  # noqa: E731
    whole = "postgresql://me:mine@db/metrics"
    assert of("") == {}
    assert of(whole) == {VARIABLE: whole, "PGSSLMODE": "require"}
    assert set(of("postgresql://db/metrics")) == {VARIABLE, "PGPASSWORD", "PGUSER", "PGSSLMODE"}


def test_predictions_are_logged_and_checked(registry, home, postgres):
    """Every wine that was asked for is a row; the live check finds them like the training."""
    import pandas as pd
    import sqlalchemy

    from wine_quality.paths import PACKAGED_RED_WINE

    url = postgres.url(postgres.create_database())
    wines = pd.read_csv(PACKAGED_RED_WINE, sep=";")[list(FEATURES)].astype("float64")
    variables = {"WINE_QUALITY_METRICS_URL": url, "WINE_QUALITY_SERVE_LOG_INPUTS": "true"}
    with Serve(home, MLFLOW_VERSIONS["3"], **variables) as serve:
        serve.await_version("2")
        predicted = serve.predict(wines.to_numpy().tolist())
    # Ended at once: what was not written yet is written then.
    engine = sqlalchemy.create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))
    with engine.connect() as connection:
        rows = connection.execute(
            sqlalchemy.text(
                "SELECT model_version, prediction, inputs FROM wine_quality.predictions"
            )
        ).all()
    engine.dispose()
    # The example with which the server was tried, and the wines.
    assert len(rows) == len(wines) + 2
    assert {row.model_version for row in rows} == {2}
    logged = sorted(row.prediction for row in rows)
    assert set(predicted) <= set(logged)
    assert set(rows[-1].inputs) == set(FEATURES)
    done = subprocess.run(
        [sys.executable, "-m", "dagster", "job", "execute", "-m", "wine_quality.definitions"]
        + ["-a", "defs", "-j", "wine_quality_live_check"],
        env={**os.environ, "DAGSTER_HOME": str(home / "dagster"), **variables},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    from dagster import DagsterEventType, DagsterInstance

    with DagsterInstance.from_config(str(home / "dagster")) as instance:
        (run,) = instance.get_runs(limit=1)
        logs = instance.all_logs(run.run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION)
    evaluations = [log.dagster_event.event_specific_data for log in logs]
    found = {evaluation.check_name: evaluation for evaluation in evaluations}
    assert set(found) == {"live_predictions_like_training", "live_inputs_like_training"}
    for evaluation in found.values():
        assert evaluation.passed, evaluation.description
        assert evaluation.metadata["rows"].value == len(rows)


def test_the_examples_of_the_documentation(registry, home):
    """As they are written, but for the port."""
    page = (PROJECT_ROOT / "docs/how-to/serving.md").read_text()
    section = page.split("## Ask for predictions\n")[1].split("\n## ")[0]
    blocks = re.findall(r"```(sh|python|json)\n(.*?)```", section, re.DOTALL)
    assert [language for language, _ in blocks] == ["sh", "json", "sh", "python", "sh"]
    one_wine, shown, as_mlflow, batch, metadata = (text for _, text in blocks)
    registry.assign_role(CHAMPION, "1")
    with Serve(home, MLFLOW_VERSIONS["3"]) as serve:
        serve.await_version("1")

        def run(program: list[str], text: str) -> str:
            text = text.replace("localhost:8080", f"127.0.0.1:{serve.port}")
            done = subprocess.run(
                [*program, text], cwd=PROJECT_ROOT, capture_output=True, text=True, timeout=60
            )
            assert done.returncode == 0, done.stderr
            return done.stdout

        output = run(["bash", "-c"], one_wine)
        shown = "".join(shown.split())
        (prefix, number) = re.fullmatch(r'(.*"id":")….*"data":\[([\d.]+)…\]\}\]\}', shown).groups()
        assert output.startswith(prefix)
        assert f"[{number}" in output
        assert f"[{number}" in run(["bash", "-c"], as_mlflow)
        assert re.search(r"count +1599", run([sys.executable, "-c"], batch))
        output = run(["bash", "-c"], metadata)
    assert '"versions":["1"]' in output
    assert output.count("HTTP/1.1 200 OK") == 2
    assert 'model_infer_request_success_total{model="ElasticnetWineModel"' in output
