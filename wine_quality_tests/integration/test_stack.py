"""`make stack` whole: PostgreSQL, S3 on disk, an MLflow server of each version, Dagster."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import signal
import socket
import stat
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

from wine_quality.dagster_support.run_tag_names import MLFLOW_RUN_TAG
from wine_quality.environments.mlflow_versions import MLFLOW_VERSIONS
from wine_quality_tests.support.canaries import (
    MARK,
    canaries,
    in_command_lines,
    in_databases,
    in_files,
)
from wine_quality_tests.support.generated_wines import write_wines
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.stack_client import (
    Stack,
    descendants,
    environment_of,
    processes_of,
    warm_processes,
)
from wine_quality_tests.support.warm_commands import run_command

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

RMSE = 0.7931640229276851
KEPT = (
    "SELECT metric, value FROM wine_quality.evaluation_metrics WHERE run_id = '{}' ORDER BY metric"
)
# As the user's own would be; no service but the MLflow servers may get any.
FOREIGN = {"AWS_PROFILE": "private", "AWS_SESSION_TOKEN": f"t0ken{MARK}"}
FOREIGN["MLFLOW_TRACKING_TOKEN"] = f"t1ken{MARK}"
WEBHOOK = {"WINE_QUALITY_NOTIFY_SLACK_TOKEN": f"xoxb-{MARK}"}


@dataclass
class Run:
    """A Dagster run and the MLflow run that it made.

    Attributes:
        processes: Environments of the processes of runs while it ran, by process id.
    """

    version: str
    run_id: str
    mlflow_run_id: str = ""
    experiment_id: str = ""
    processes: dict[int, dict[str, str]] = field(default_factory=dict)


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """All versions, while the default port of the webserver is taken by somebody else."""
    # Not under pytest's folder, which is closed to the user that PostgreSQL runs as.
    home = Path(tempfile.mkdtemp(prefix="wine-quality-stack-"))
    home.chmod(0o755)
    versions = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
    with pytest.MonkeyPatch.context() as patch, socket.socket() as taken:
        for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
            patch.delenv(name)
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        # The secrets are none of the demo's, and some need quoting in an address.
        secret = {**canaries(), **FOREIGN, **WEBHOOK}
        found = Stack(home, versions, DAGSTER_PORT=str(taken.getsockname()[1]), **secret)
        try:
            output = found.up()
            assert "ready after" in output
            assert f"{found.state['ports']['dagster-webserver']}" in output
            assert found.state["ports"]["dagster-webserver"] != taken.getsockname()[1]
            yield found
        finally:
            found.down()
            shutil.rmtree(home)
    assert processes_of(home) == []


@pytest.fixture(scope="module")
def runs(stack) -> dict[str, Run]:
    """One run of each version, launched together; the daemon's queue starts them."""
    return run_of(stack, stack.versions)


def run_of(stack: Stack, versions: list[str]) -> dict[str, Run]:
    """Runs that ended well, with what their processes were started with."""
    made = {}
    for version in versions:
        config = {"resources": {"mlflow": {"config": {"version": version}}}}
        made[version] = Run(version, stack.launch(config))
    left = dict(made)

    def all_ended() -> bool:
        server = stack.services["dagster-code"]["pid"]
        for pid in [*descendants(server), *warm_processes(stack.home)]:
            seen = environment_of(pid)
            for run in left.values():
                run.processes[pid] = seen
        ended = {key: stack.status(run.run_id) for key, run in left.items()}
        for key, status in ended.items():
            if status in ("SUCCESS", "FAILURE", "CANCELED"):
                assert status == "SUCCESS", stack.messages(left[key].run_id)[-8:]
                del left[key]
        return not left

    await_condition(all_ended, "the runs to end", 240)
    for run in made.values():
        tags = {tag["key"]: tag["value"] for tag in tags_of(stack, run.run_id)}
        run.mlflow_run_id = tags[MLFLOW_RUN_TAG]
        info = mlflow_run(stack, run)["info"]
        run.experiment_id = info["experiment_id"]
    return made


def tags_of(stack: Stack, run_id: str) -> list[dict[str, str]]:
    query = "query T($r: ID!) { runOrError(runId: $r) { ... on Run { tags { key value } } } }"
    return stack.graphql(query, r=run_id)["runOrError"]["tags"]


def mlflow_run(stack: Stack, run: Run) -> dict:
    answer = requests.get(
        f"{stack.mlflow(run.version)}/api/2.0/mlflow/runs/get",
        params={"run_id": run.mlflow_run_id},
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.json()["run"]


def artifact(stack: Stack, run: Run, path: str) -> bytes:
    """Through the MLflow server, without any key."""
    answer = requests.get(
        f"{stack.mlflow(run.version)}/api/2.0/mlflow-artifacts/artifacts/{run.experiment_id}/"
        f"{run.mlflow_run_id}/artifacts/{path}",
        timeout=30,
    )
    assert answer.status_code == 200, answer.text
    return answer.content


def assert_all_there(stack: Stack, runs: dict[str, Run]) -> None:
    """The results of the runs, asked of each service anew."""
    artifacts, assets = stack.artifacts(), stack.assets()
    for run in runs.values():
        assert stack.status(run.run_id) == "SUCCESS"
        found = mlflow_run(stack, run)
        assert found["info"]["status"] == "FINISHED"
        metrics = {metric["key"]: metric["value"] for metric in found["data"]["metrics"]}
        assert metrics["rmse"] == pytest.approx(RMSE, abs=1e-12)
        assert b"fixed acidity" in artifact(stack, run, "training/record.json")
        assert any(run.mlflow_run_id in key for key in artifacts)
        assert f"assets/raw_wine_csv/{run.run_id}.parquet" in assets
        kept = stack.query("metrics", "METRICS", KEPT.format(run.mlflow_run_id))
        assert [metric for metric, _ in kept] == ["mae", "r2", "rmse"]
        assert kept[2][1] == pytest.approx(RMSE, abs=1e-12)


def of_version(runs: dict[str, Run], version: str) -> Run:
    if version not in runs:
        pytest.skip(f"no environment of MLflow {version}")
    return runs[version]


@pytest.mark.parametrize("version", list(MLFLOW_VERSIONS))
def test_a_run_goes_through_queue_and_the_server_of_its_version(stack, runs, version):
    run = of_version(runs, version)
    kinds = [
        row[0]
        for row in stack.query(
            "dagster",
            "DAGSTER",
            f"SELECT dagster_event_type FROM event_logs WHERE run_id = '{run.run_id}' ORDER BY id",
        )
    ]
    # Nobody but the daemon takes a run from the queue.
    order = ["PIPELINE_ENQUEUED", "PIPELINE_STARTING", "PIPELINE_START", "PIPELINE_SUCCESS"]
    assert [kind for kind in kinds if kind in order] == order
    [(status,)] = stack.query(
        "dagster", "DAGSTER", f"SELECT status FROM runs WHERE run_id = '{run.run_id}'"
    )
    assert status == "SUCCESS"
    database = f"mlflow_{version.replace('.', '_')}"
    [(status,)] = stack.query(
        database, "MLFLOW", f"SELECT status FROM runs WHERE run_uuid = '{run.mlflow_run_id}'"
    )
    assert status == "FINISHED"


@pytest.mark.parametrize("version", list(MLFLOW_VERSIONS))
def test_artifacts_are_put_there_by_the_mlflow_server(stack, runs, version):
    """The model lies in the bucket; no process of the run held a key for it."""
    run = of_version(runs, version)
    artifacts = stack.artifacts()
    under_run = f"{run.experiment_id}/{run.mlflow_run_id}/artifacts/"
    assert any(key.startswith(f"{under_run}plots/") for key in artifacts)
    if version == "3":
        models = [key for key in artifacts if key.startswith(f"{run.experiment_id}/models/m-")]
        assert any(key.endswith("/artifacts/MLmodel") for key in models)
        assert any(key.endswith("/artifacts/model.skops") for key in models)
    else:
        assert {f"{under_run}model/MLmodel", f"{under_run}model/model.pkl"} <= set(artifacts)
    workers = [seen for seen in run.processes.values() if seen]
    assert workers
    keys = {stack.settings["AWS_SECRET_ACCESS_KEY"], *FOREIGN.values()}
    for seen in [*workers, environment_of(stack.services["dagster-code"]["pid"])]:
        assert not [name for name in seen if name.startswith("AWS_")]
        assert not keys & set(seen.values())
        # What the code server does hold opens the store of the assets.
        assert seen["WINE_QUALITY_ASSETS_KEY"] == stack.settings["WINE_QUALITY_ASSETS_KEY"]
    server = environment_of(stack.services[f"mlflow-{version}"]["pid"])
    assert server["AWS_SECRET_ACCESS_KEY"] == stack.settings["AWS_SECRET_ACCESS_KEY"]


def test_asset_values_are_in_s3_in_plain_formats(stack, runs):
    found = stack.assets()
    for run in runs.values():
        for name in ("raw_wine_csv/{}.parquet", "elasticnet_model/{}.json"):
            assert found[f"assets/{name.format(run.run_id)}"] > 0


def test_models_are_deployed_into_the_assets_bucket(stack, runs):
    """By each version's own client, with the manifest that Seldon Core 2 takes from there."""
    config = {"resources": {"mlflow": {"config": {"version": ""}}}}
    launched = []
    for version in stack.versions:
        config["resources"]["mlflow"]["config"]["version"] = version
        launched.append(stack.launch(config, job="wine_quality_deployment"))
    await_condition(
        lambda: not {stack.status(run) for run in launched} - {"SUCCESS", "FAILURE"},
        "the deployments",
        240,
    )
    for run in launched:
        assert stack.status(run) == "SUCCESS", stack.messages(run)[-8:]
    found = stack.assets()
    for version in stack.versions:
        place = f"deployments/mlflow-{version}/ElasticnetWineModel/1"
        assert found[f"{place}/repository/ElasticnetWineModel/model-settings.json"] > 0
        assert found[f"{place}/manifests/seldon-core-v2.yaml"] > 0


def test_wines_in_the_bucket_are_streamed(stack, runs, tmp_path):
    """Parquet in the store of the stack, as the UI launches it, with each version's client."""
    client = stack.s3("WINE_QUALITY_ASSETS_KEY", "WINE_QUALITY_ASSETS_SECRET")
    for number in range(2):
        write_wines(tmp_path / "wines.parquet", 30_000, seed=number)
        key = f"wines/{number}.parquet"
        client.upload_file(str(tmp_path / "wines.parquet"), stack.settings["ASSETS_BUCKET"], key)
    launched = {}
    for version in stack.versions:
        url = f"s3://{stack.settings['ASSETS_BUCKET']}/wines/"
        model = {"version": version, "registered_model_name": "streamed"}
        config = {
            "ops": {"raw_wine_csv": {"config": {"csv_url": url}}},
            "resources": {
                "training_engine": {"config": {"engine": "duckdb"}},
                "mlflow": {"config": model},
            },
        }
        launched[version] = stack.launch(config)
    made = [Run(version, run_id) for version, run_id in launched.items()]
    for run in made:
        assert stack.wait(run.run_id) == "SUCCESS", stack.messages(run.run_id)[-8:]
        tags = {tag["key"]: tag["value"] for tag in tags_of(stack, run.run_id)}
        run.mlflow_run_id = tags[MLFLOW_RUN_TAG]
        found = mlflow_run(stack, run)
        params = {param["key"]: param["value"] for param in found["data"]["params"]}
        assert (params["training_engine"], params["data_files"]) == ("duckdb", "2")
        run.experiment_id = found["info"]["experiment_id"]
    coefficients = [
        json.loads(artifact(stack, run, "training/record.json"))["model"]["coefficients"]
        for run in made
    ]
    for other in coefficients[1:]:
        assert other == pytest.approx(coefficients[0], rel=1e-9)


def test_the_store_checks_signatures(stack):
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        stack.s3("AWS_ACCESS_KEY_ID", "WINE_QUALITY_ASSETS_SECRET").list_buckets()
    with pytest.raises(urllib.error.HTTPError, match="403"):
        urllib.request.urlopen(f"http://127.0.0.1:{stack.state['ports']['s3']}/mlflowbucket")


def test_the_store_serves_what_clients_of_s3_ask_for(stack, tmp_path):
    """Small, empty and multipart objects, ranges, folders, deletion; with boto3's own transfers."""
    client = stack.s3("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    bucket, big = stack.settings["MLFLOW_BUCKET"], os.urandom(1 << 20) * 20
    for name, content in {"small": b"wine", "empty": b"", "deep/er/ü big": big}.items():
        (tmp_path / "up").write_bytes(content)
        client.upload_file(str(tmp_path / "up"), bucket, f"probe/{name}")
        client.download_file(bucket, f"probe/{name}", str(tmp_path / "down"))
        assert (tmp_path / "down").read_bytes() == content
    cut = client.get_object(Bucket=bucket, Key="probe/small", Range="bytes=2-100")
    assert cut["Body"].read() == b"ne"
    listed = client.list_objects_v2(Bucket=bucket, Prefix="probe/", Delimiter="/")
    assert [entry["Prefix"] for entry in listed["CommonPrefixes"]] == ["probe/deep/"]
    keys = [f"probe/{name}" for name in ("small", "empty", "deep/er/ü big")]
    client.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys]})
    assert "Contents" not in client.list_objects_v2(Bucket=bucket, Prefix="probe/")


def test_roles_see_their_own_databases_only(stack):
    import psycopg2

    assert stack.query("metrics", "METRICS", "SELECT 1") == [(1,)]
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        stack.query("dagster", "METRICS", "SELECT 1")
    stack.settings["WRONG_POSTGRES_USER"] = stack.settings["DAGSTER_POSTGRES_USER"]
    stack.settings["WRONG_POSTGRES_PASSWORD"] = "wrong"
    with pytest.raises(psycopg2.OperationalError, match="password authentication failed"):
        stack.query("dagster", "WRONG", "SELECT 1")


def test_mlflow_3_refuses_other_hosts_and_origins(stack):
    url = f"{stack.mlflow('3')}/api/2.0/mlflow/experiments/search?max_results=1"
    assert requests.get(url, timeout=20).status_code == 200
    assert requests.get(url, headers={"Host": "evil.example"}, timeout=20).status_code == 403
    assert requests.get(url, headers={"Host": "mlflow:5000"}, timeout=20).status_code == 200
    url = f"{stack.mlflow('3')}/api/2.0/mlflow/experiments/create"
    foreign = requests.post(
        url, json={"name": "x"}, headers={"Origin": "https://evil.example"}, timeout=20
    )
    assert foreign.status_code == 403


def test_no_secret_is_on_a_command_line_and_postgres_is_not_root(stack):
    for name, service in stack.services.items():
        command = Path(f"/proc/{service['pid']}/cmdline").read_bytes().decode()
        for setting in ("MLFLOW_POSTGRES_PASSWORD", "DAGSTER_POSTGRES_PASSWORD"):
            assert stack.settings[setting] not in command, name
    owner = Path(f"/proc/{stack.services['postgres']['pid']}").stat().st_uid
    assert owner != 0
    if os.geteuid() == 0:
        assert pwd.getpwuid(owner).pw_name in ("postgres", "nobody")


def test_no_secret_is_anywhere_but_where_it_is_used(stack, runs, tmp_path):
    """Runs that succeeded and one that failed have left none in Dagster's records, in MLflow's, in
    the buckets, the logs, the command lines, or what an image is built from."""
    missing = {"csv_url": f"s3://{stack.settings['ASSETS_BUCKET']}/none.csv"}
    failed = stack.launch({"ops": {"raw_wine_csv": {"config": missing}}})
    assert stack.wait(failed) == "FAILURE"
    version = stack.versions[-1]
    done = run_command(
        *("image", "--no-build", "--mlflow", version, "--tracking-uri", stack.mlflow(version)),
        *("--output", str(tmp_path / "image")),
        env=stack.environment,
    )
    assert done.returncode == 0, done.stderr
    used_by_the_store = stack.home / "stack" / "s3" / "nanio.toml"
    assert stat.S_IMODE(used_by_the_store.stat().st_mode) == 0o600
    # PostgreSQL's own files hold hashes of passwords, and what was asked of it above.
    # The key of signatures; and what the daemon starts runs with, which it does not have itself.
    own = {stack.home / "signing.key", stack.home / "stack" / "dagster" / "run_variables.json"}
    assert {stat.S_IMODE(file.stat().st_mode) for file in own} == {0o600}
    but = {used_by_the_store, stack.home / "stack" / "postgres" / "data", *own}
    assert list(in_databases(stack)) == []
    assert list(in_files(stack.home, but)) == []
    assert list(in_files(tmp_path / "image", set())) == []
    assert list(in_command_lines(processes_of(stack.home))) == []
    assert MARK not in done.stdout + done.stderr


def test_a_second_stack_over_the_same_home_is_refused(stack):
    done = stack.call("up", seconds=60)
    assert done.returncode == 1
    assert "is running already; `make stack-down` stops it" in done.stderr


def test_each_service_is_killed_and_comes_back_with_its_data(stack, runs):
    names = list(stack.services)
    assert len(names) == 5 + len(stack.versions)
    for name in names:
        stack.kill(name, signal.SIGKILL)
        await_condition(lambda: _all_answer(stack), f"all to answer after {name} was killed")
        assert_all_there(stack, runs)


def test_a_run_survives_the_webserver_and_the_daemon(stack, runs):
    version = stack.versions[0]
    config = {"resources": {"mlflow": {"config": {"version": version}}}}
    run_id = stack.launch(config)
    await_condition(lambda: stack.status(run_id) == "STARTED", "the run to start", 120)
    for name in ("dagster-webserver", "dagster-daemon"):
        stack.kill(name, signal.SIGKILL)
    assert stack.wait(run_id) == "SUCCESS", stack.messages(run_id)[-8:]


def _all_answer(stack: Stack) -> bool:
    """Whether the webserver is back at its database; it takes a broken connection to notice."""
    try:
        stack.graphql("{ runsOrError(limit: 1) { ... on Runs { count } } }")
        for version in stack.versions:
            url = f"{stack.mlflow(version)}/api/2.0/mlflow/experiments/get-by-name"
            query = {"experiment_name": "wine_quality_experiment1"}
            requests.get(url, params=query, timeout=20).raise_for_status()
    except (requests.RequestException, AssertionError):
        return False
    return True


def test_stopped_and_started_nothing_is_lost(stack, runs):
    assert "its data is kept" in stack.down()
    assert processes_of(stack.home) == []
    assert "ready after" in stack.up()
    assert_all_there(stack, runs)
    # One model version more: the registry went on where it was.
    for run in run_of(stack, stack.versions[-1:]).values():
        query = urllib.parse.urlencode({"filter": "name='ElasticnetWineModel'"})
        url = f"{stack.mlflow(run.version)}/api/2.0/mlflow/model-versions/search?{query}"
        numbers = [
            int(v["version"]) for v in requests.get(url, timeout=20).json()["model_versions"]
        ]
        assert sorted(numbers) == list(range(1, len(numbers) + 1))
        assert len(numbers) >= 2


def test_nothing_outlives_a_supervisor_that_is_killed(stack):
    """gunicorn's workers and PostgreSQL's processes included; the stack starts again after it."""
    temporary = stack.state["temporary"]
    os.kill(stack.state["pid"], signal.SIGKILL)
    await_condition(lambda: processes_of(stack.home) == [], "all processes to end", 60)
    assert not (stack.home / "stack" / "state.json").exists()
    assert temporary and not any(Path(folder).exists() for folder in temporary)
    assert "ready after" in stack.up()
