"""`make backup` of a stack at work, and `make restore` of it into an empty one."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.versions import MLFLOW_VERSIONS, PROJECT_ROOT, get_version
from wine_quality_tests.servers import await_condition
from wine_quality_tests.stack_client import Stack, processes_of
from wine_quality_tests.test_stack import run_of, tags_of

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
# Every version of the registry, loaded.
VERSIONS = "SELECT version FROM model_versions WHERE current_stage <> 'Deleted_Internal'"


def predictions(stack: Stack, key: str, *numbers: int) -> list[list[float]]:
    """Of the champion, then of each of the versions."""
    version = get_version(key)
    roles = ["@champion" if key == "3" else "/Production", *(f"/{number}" for number in numbers)]
    data = PROJECT_ROOT / "wine_quality" / "data" / "winequality-red.csv"
    done = subprocess.run(
        [str(version.python), "-W", "ignore", "-c", PREDICT, str(data), *roles],
        env={**version.process_variables(), "MLFLOW_TRACKING_URI": stack.mlflow(key)},
        capture_output=True,
        text=True,
        timeout=120,
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
    keys = [key for key, version in MLFLOW_VERSIONS.items() if version.python.exists()]
    old, new = (Stack(home, keys, **SECRETS) for home in homes)
    folder = tmp_path / "backup"
    try:
        old.up()
        (homes[0] / "history").mkdir(exist_ok=True)
        (homes[0] / "history" / "note").write_text("kept")
        ended = run_of(old, keys)
        predicted = {key: predictions(old, key)[0] for key in keys}
        going = {
            key: old.launch({"resources": {"mlflow": {"config": {"version": key}}}}) for key in keys
        }

        def one_is_open() -> bool:
            tags = [{tag["key"]: tag["value"] for tag in tags_of(old, r)} for r in going.values()]
            return any(found.get("mlflow/state") == "open" for found in tags)

        await_condition(one_is_open, "a run to be in progress", 120)
        done = do(old, "backup", str(folder))
        assert done.returncode == 0, done.stdout + done.stderr
        # Whoever goes on while it is made loses nothing.
        for run in going.values():
            assert old.wait(run) == "SUCCESS"
        assert "is not empty" in do(old, "backup", str(folder)).stderr
        assert "the stack is up; stop it" in do(old, "restore", str(folder)).stderr
    finally:
        old.down()
    for path in folder.rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        assert not [secret for secret in SECRETS.values() if secret.encode() in content], path

    # Other passwords there; what was changed, or is not empty, is refused.
    new.settings["MLFLOW_POSTGRES_PASSWORD"] = "canary-another"
    new.environment["MLFLOW_POSTGRES_PASSWORD"] = "canary-another"
    spoilt = next(path for path in (folder / "objects").rglob("*") if path.is_file())
    whole = spoilt.read_bytes()
    spoilt.write_bytes(whole + b"!")
    done = do(new, "restore", str(folder))
    assert done.returncode == 1
    assert f"{spoilt} was changed since the backup was made" in done.stderr
    spoilt.write_bytes(whole)
    assert (
        "the stack is not empty (database dagster has tables)"
        in do(old, "restore", str(folder)).stderr
    )
    done = do(new, "restore", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (homes[1] / "history" / "note").read_text() == "kept"
    try:
        new.up()
        for key in keys:
            database = f"mlflow_{key.replace('.', '_')}"
            # Every version that is registered has its files.
            numbers = [number for (number,) in new.query(database, "MLFLOW", VERSIONS)]
            assert predictions(new, key, *numbers)[0] == predicted[key]
            assert new.status(ended[key].run_id) == "SUCCESS"
    finally:
        new.down()
