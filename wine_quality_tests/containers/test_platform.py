"""The job, upkeep, and a restore into an empty platform, in real containers; in this order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.upkeep.containers import find_containers
from wine_quality_tests.containers.conftest import NOT_HERE, VERSIONS
from wine_quality_tests.support.canaries import MARK
from wine_quality_tests.support.compose import READY_SECONDS, Compose
from wine_quality_tests.support.servers import await_condition

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
]

RUN_SECONDS = 400
ROWS = "SELECT count(*) FROM wine_quality.evaluation_metrics"
CHAMPIONS = {"3": "SELECT name, version FROM registered_model_aliases WHERE alias = 'champion'"}
_STAGED = "SELECT name, version FROM model_versions WHERE current_stage = 'Production'"


def do(platform: Compose, *arguments: str) -> subprocess.CompletedProcess[str]:
    """A command of the project's with the settings of the platform in containers."""
    kept = {n: v for n, v in os.environ.items() if n not in platform.settings}
    kept |= {
        "WINE_QUALITY_ENV_FILE": str(platform.home / ".env"),
        "WINE_QUALITY_HOME": str(platform.home / "home"),
    }
    where = ["--on", "compose", "--project", platform.project]
    return subprocess.run(
        [sys.executable, "-m", "wine_quality", *arguments, *where],
        env=kept,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=900,
    )


def champions(platform: Compose) -> dict[str, list[list[str]]]:
    """Name and version of each champion, by MLflow version."""
    return {
        key: platform.psql(f"mlflow_{key.replace('.', '_')}", CHAMPIONS.get(key, _STAGED))
        for key in platform.versions
    }


def objects(platform: Compose) -> dict[str, int]:
    """Size of each object of both buckets."""
    client = platform.s3("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    found = {}
    for setting in ("MLFLOW_BUCKET", "ASSETS_BUCKET"):
        bucket = platform.settings[setting]
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
            for entry in page.get("Contents", []):
                found[f"{bucket}/{entry['Key']}"] = entry["Size"]
    return found


@pytest.mark.parametrize("version", VERSIONS)
def test_the_job_runs_through_the_proxy(platform, see, version):
    run = platform.launch({"resources": {"mlflow": {"config": {"version": version}}}})
    ended = platform.wait(run, RUN_SECONDS)
    see(f"the job on MLflow {version} by GraphQL", ended)
    assert ended == "SUCCESS", platform.messages(run)[-5:]
    assert champions(platform)[version]


def test_no_secret_shows(platform, see):
    shown = {"inspect": platform.inspected(), "logs": platform.logs()}
    see("secrets in inspect and logs", f"none in {sum(map(len, shown.values()))} characters")
    assert [where for where, text in shown.items() if MARK in text] == []


def test_retention_and_gc(platform, see):
    shown = do(platform, "retention", "--days", "1")
    assert shown.returncode == 0, shown.stdout + shown.stderr
    purged = do(platform, "gc", "--days", "0")
    assert purged.returncode == 0, purged.stdout + purged.stderr
    see("retention and gc, dry runs", purged.stdout.strip().splitlines()[-3].strip())
    assert "without a run   0 files" in purged.stdout


def test_down_and_up_loses_nothing(platform, see):
    before = champions(platform), objects(platform)
    platform.down()
    platform.up()
    see("down and up", f"{len(before[1])} objects, champions {before[0]}")
    assert (champions(platform), objects(platform)) == before


def test_a_backup_is_restored_into_an_empty_platform(platform, see, tmp_path):
    folder = tmp_path / "backup"
    before = champions(platform), objects(platform), platform.psql("metrics", ROWS)
    made = do(platform, "backup", str(folder))
    assert made.returncode == 0, made.stdout + made.stderr
    assert secrets_in(folder) == [folder / "signing.key"]
    refused = do(platform, "restore", str(folder))
    assert "the stack is not empty (database dagster has rows in runs)" in refused.stderr
    platform.down(volumes=True)
    platform.up()
    assert not objects(platform)
    restored = do(platform, "restore", str(folder))
    assert restored.returncode == 0, restored.stdout + restored.stderr
    await_condition(platform.is_ready, "the restored platform", READY_SECONDS)
    after = champions(platform), objects(platform), platform.psql("metrics", ROWS)
    see("backup, down -v, up, restore", f"{len(before[1])} objects, {before[2][0][0]} rows")
    assert after == before
    # It goes on: what was trusted is, and a further run has a champion to compare with.
    run = platform.launch({})
    assert platform.wait(run, RUN_SECONDS) == "SUCCESS", platform.messages(run)[-5:]
    found = find_containers(platform.project)
    assert {"dagster-code", "dagster-daemon", "proxy", "mlflow"} <= found.running()


def secrets_in(folder: Path) -> list[Path]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return [path for path in files if MARK.encode() in path.read_bytes()]
