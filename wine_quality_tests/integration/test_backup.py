"""`make backup` of a stack at work, and `make restore` of it into an empty one."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.dagster_support.run_tag_names import MLFLOW_STATE_TAG
from wine_quality.environments.mlflow_versions import DEFAULT_VERSION, MLFLOW_VERSIONS, get_version
from wine_quality.paths import PROJECT_ROOT
from wine_quality_tests.integration.test_stack import run_of, tags_of
from wine_quality_tests.support.servers import await_condition, dying_with_us
from wine_quality_tests.support.stack_client import Stack, processes_of
from wine_quality_tests.support.warm_commands import run_python

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SECRETS = {
    "POSTGRES_PASSWORD": "canary-administrator",
    "DAGSTER_POSTGRES_PASSWORD": "canary-dagster",
    "MLFLOW_POSTGRES_PASSWORD": "canary-mlflow",
    "METRICS_POSTGRES_PASSWORD": "canary-metrics",
    "WINE_QUALITY_ASSETS_SECRET": "canaryassets",
}
# In the environment of its own version: what versions of the model predict for some of the wines.
PREDICT = """
import json, sys
import mlflow.pyfunc, pandas as pd
file, *roles = sys.argv[1:]
wines = pd.read_csv(file, sep=";").drop(columns="quality")[:50]
for role in roles:
    model = mlflow.pyfunc.load_model(f"models:/ElasticnetWineModel{role}")
    print(json.dumps([float(value) for value in model.predict(wines)]))
"""
RUNS = """SELECT r.status, t.value FROM runs r
    JOIN tags t ON t.run_uuid = r.run_uuid AND t.key = 'dagster.run_id'"""
# Every version of the registry, loaded.
VERSIONS = "SELECT version FROM model_versions WHERE current_stage <> 'Deleted_Internal'"


def predictions(stack: Stack, key: str, *numbers: int) -> list[list[float]]:
    """Of the champion, then of each of the versions."""
    version = get_version(key)
    roles = ["@champion" if key == "3" else "/Production", *(f"/{number}" for number in numbers)]
    data = PROJECT_ROOT / "wine_quality" / "datasets" / "winequality-red.csv"
    done = run_python(
        *(version.python, "-W", "ignore", "-c", PREDICT, str(data), *roles),
        env={**version.process_variables(), "MLFLOW_TRACKING_URI": stack.mlflow(key)},
    )
    assert done.returncode == 0, done.stderr[-2000:]
    found = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("[")]
    assert [len(values) for values in found] == [50] * len(roles)
    return found


def do(stack: Stack, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "wine_quality", *arguments],
        env=stack.environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.fixture
def homes(monkeypatch) -> Iterator[list[Path]]:
    """Not under pytest's folder, which is closed to the user that PostgreSQL runs as."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    made = [Path(tempfile.mkdtemp(prefix="wine-quality-backup-")) for _ in range(2)]
    for home in made:
        home.chmod(0o755)
    yield made
    for home in made:
        shutil.rmtree(home)
        assert processes_of(home) == []


def test_a_backup_of_a_stack_at_work_is_restored_into_an_empty_one(homes, tmp_path):
    """One set, taken while runs write: all of it is there again, and no run is left under way."""
    # The others' databases are made, dumped and restored alike; WINE_QUALITY_BACKUP_TEST=all runs
    # their servers too, which takes four minutes.
    every = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
    keys = every if os.environ.get("WINE_QUALITY_BACKUP_TEST") == "all" else [DEFAULT_VERSION]
    old, new = (Stack(home, keys, **SECRETS) for home in homes)
    folder, half = tmp_path / "backup", tmp_path / "half"
    try:
        old.up()
        (homes[0] / "history").mkdir(exist_ok=True)
        (homes[0] / "history" / "note").write_text("kept")
        ended = run_of(old, keys)
        predicted = {key: predictions(old, key)[0] for key in keys}
        # One stands still, tracked and under way; the others go on while the backup is made.
        still, *going = [launched(old, key) for key in (keys[-1], *keys)]
        await_condition(lambda: state_of(old, still) == "open", "a run to be tracked", 120)
        os.kill(old.worker_pid(still), signal.SIGSTOP)
        await_condition(lambda: any(state_of(old, run) == "open" for run in going), "a second", 120)
        interrupt_a_backup(old, half)
        back_up = do(old, "backup", str(folder))
        assert back_up.returncode == 0, back_up.stdout + back_up.stderr
        os.kill(old.worker_pid(still), signal.SIGCONT)
        # Whoever goes on while it is made loses nothing.
        for run in (still, *going):
            assert old.wait(run) == "SUCCESS"
        assert "is not empty" in do(old, "backup", str(folder)).stderr
        assert "the stack is up; stop it" in do(old, "restore", str(folder)).stderr
    finally:
        old.down()
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in SECRETS.values() if secret.encode() in content], path

    # Other passwords there; what is half, was changed, or would be replaced is refused.
    new.settings["MLFLOW_POSTGRES_PASSWORD"] = "canary-another"
    new.environment["MLFLOW_POSTGRES_PASSWORD"] = "canary-another"
    assert "holds a backup that was interrupted" in do(new, "restore", str(half)).stderr
    spoilt = next(path for path in (folder / "objects").rglob("*") if path.is_file())
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole + b"!")
    assert (
        f"{spoilt} was changed since the backup was made" in do(new, "restore", str(folder)).stderr
    )
    spoilt.write_bytes(whole)
    refused = do(old, "restore", str(folder))
    assert "the stack is not empty (database dagster has rows in runs)" in refused.stderr
    assert refused.returncode == 1

    restored = do(new, "restore", str(folder))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    assert (homes[1] / "history" / "note").read_text() == "kept"
    print(back_up.stdout, restored.stdout)
    try:
        new.up()
        assert new.status(still) == "FAILURE"
        assert "It was under way when the backup of" in "".join(new.messages(still))
        assert_runs_agree(new, keys)
        client = new.s3("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
        # Objects are copied after the moment of the databases: what the runs wrote in between may
        # be of runs or models that these do not know.
        assert do(new, "gc", "--days", "0", "--delete").returncode == 0
        lost = f"1/{uuid.uuid4().hex}/artifacts/model/MLmodel"  # of a run that nobody knows
        for key in ("late", lost):
            client.put_object(Bucket=new.settings["MLFLOW_BUCKET"], Key=key, Body=b"goes")
        before = set(new.artifacts())
        assert "without a run   0 files" in do(new, "gc").stdout
        assert "without a run   1 files" in do(new, "gc", "--days", "0").stdout
        assert set(new.artifacts()) == before
        assert "removed         1 files" in do(new, "gc", "--days", "0", "--delete").stdout
        assert set(new.artifacts()) == before - {lost}
        for key in keys:
            # Every version that is registered has its files.
            numbers = [number for (number,) in new.query(database_of(key), "MLFLOW", VERSIONS)]
            assert predictions(new, key, *numbers)[0] == predicted[key]
            # Trusted by this home, which had no key or another one.
            image = ("image", "--no-build", "--output", str(tmp_path / f"image-{key}"))
            served = do(new, *image, "--mlflow", key, "--tracking-uri", new.mlflow(key))
            assert served.returncode == 0, served.stderr
            assert new.status(ended[key].run_id) == "SUCCESS"
    finally:
        new.down()

    # What has come in since goes, with --overwrite.
    (homes[1] / "history" / "late").write_text("goes")
    again = do(new, "restore", str(folder), "--overwrite")
    assert again.returncode == 0, again.stdout + again.stderr
    assert [path.name for path in (homes[1] / "history").iterdir()] == ["note"]
    data = homes[1] / "stack" / "s3" / "data" / new.settings["MLFLOW_BUCKET"]
    on_disk = {path.relative_to(data).as_posix() for path in data.rglob("*") if path.is_file()}
    assert "late" not in on_disk and keys_in(folder, "mlflow") <= on_disk


def launched(stack: Stack, key: str) -> str:
    return stack.launch({"resources": {"mlflow": {"config": {"version": key}}}})


def state_of(stack: Stack, run: str) -> str | None:
    return {tag["key"]: tag["value"] for tag in tags_of(stack, run)}.get(MLFLOW_STATE_TAG)


def database_of(key: str) -> str:
    return f"mlflow_{key.replace('.', '_')}"


def interrupt_a_backup(stack: Stack, folder: Path) -> None:
    """Ctrl-C while the first database is being copied."""
    command = [sys.executable, "-m", "wine_quality", "backup", str(folder)]
    process = subprocess.Popen(
        dying_with_us(*command),
        env=stack.environment,
        cwd=PROJECT_ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    await_condition(lambda: (folder / "databases" / "dagster.dump").exists(), "the first dump", 60)
    process.send_signal(signal.SIGINT)
    _, output = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert f"{folder} is not a backup; remove it, then try again" in output
    assert "holds a backup that was interrupted" in do(stack, "backup", str(folder)).stderr


def assert_runs_agree(stack: Stack, keys: list[str]) -> None:
    """Each run has ended alike in both; those that were in the queue may have gone on since."""
    as_mlflow = {"SUCCESS": "FINISHED", "FAILURE": "FAILED", "CANCELED": "KILLED"}
    of_dagster = dict(stack.query("dagster", "DAGSTER", "SELECT run_id, status FROM runs"))
    assert not {"STARTING", "CANCELING"} & set(of_dagster.values())
    for run in of_dagster:
        assert stack.wait(run) in as_mlflow
    of_dagster = dict(stack.query("dagster", "DAGSTER", "SELECT run_id, status FROM runs"))
    seen = 0
    for key in keys:
        for status, dagster_run in stack.query(database_of(key), "MLFLOW", RUNS):
            # One that began after the moment of the backup is unknown to Dagster, and not here.
            assert as_mlflow[of_dagster[dagster_run]] == status
            seen += 1
    assert seen >= len(keys) + 1
    opened = f"SELECT run_id FROM run_tags WHERE key = '{MLFLOW_STATE_TAG}' AND value = 'open'"
    # The sensor may have to note it.
    await_condition(lambda: stack.query("dagster", "DAGSTER", opened) == [], "no open run", 60)


def keys_in(folder: Path, place: str) -> set[str]:
    lines = map(json.loads, (folder / "objects.jsonl").read_text().splitlines())
    return {line["key"] for line in lines if line["place"] == place}
