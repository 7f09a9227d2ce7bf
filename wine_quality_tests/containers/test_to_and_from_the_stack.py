"""A backup of `make stack` restored into containers, and one of theirs into another local stack."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from wine_quality.environments.mlflow_versions import DEFAULT_VERSION
from wine_quality.paths import PROJECT_ROOT
from wine_quality.settings.platform import POSTGRES_BIN
from wine_quality_tests.containers.conftest import NOT_HERE
from wine_quality_tests.containers.test_platform import RUN_SECONDS, champions, do, objects
from wine_quality_tests.integration.test_backup import predictions
from wine_quality_tests.support.compose import READY_SECONDS
from wine_quality_tests.support.servers import await_condition
from wine_quality_tests.support.stack_client import Stack, processes_of

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(bool(NOT_HERE), reason=NOT_HERE),
]

DEBIANS = Path("/usr/lib/postgresql")
SECRETS = {"WINE_QUALITY_ASSETS_SECRET": "ofthestack"}


@pytest.fixture
def homes(monkeypatch) -> Iterator[list[Path]]:
    """Not under pytest's folder, which is closed to the user that PostgreSQL runs as."""
    for name in [name for name in os.environ if name.startswith(("AWS_", "MLFLOW_"))]:
        monkeypatch.delenv(name)
    made = [Path(tempfile.mkdtemp(prefix="wine-quality-between-")) for _ in range(2)]
    for home in made:
        home.chmod(0o755)
    yield made
    for home in made:
        shutil.rmtree(home)
        assert processes_of(home) == []


def upkeep(stack: Stack, *arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "wine_quality", *arguments],
        env=stack.environment,
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_backups_go_between_the_local_stack_and_containers(
    platform, see, homes, tmp_path, monkeypatch
):
    there = int(platform.psql("postgres", "SHOW server_version_num")[0][0]) // 10000
    programs = DEBIANS / str(there) / "bin"
    if not (programs / "postgres").exists():
        pytest.skip(f"no PostgreSQL {there} in {DEBIANS}, which is the containers' version")
    monkeypatch.setenv(POSTGRES_BIN, str(programs))
    old, new = (Stack(home, [DEFAULT_VERSION], **SECRETS) for home in homes)
    first, second = tmp_path / "of-the-stack", tmp_path / "of-containers"
    try:
        old.up()
        assert old.wait(old.launch({})) == "SUCCESS"
        predicted = predictions(old, DEFAULT_VERSION)
        kept = {*old.artifacts(), *old.assets()}
        upkeep(old, "backup", str(first))
    finally:
        old.down()

    restored = do(platform, "restore", str(first), "--overwrite")
    assert restored.returncode == 0, restored.stdout + restored.stderr
    await_condition(platform.is_ready, "the restored platform", READY_SECONDS)
    assert champions(platform)[DEFAULT_VERSION] == [["ElasticnetWineModel", "1"]]
    inside = {key.partition("/")[2] for key in objects(platform)}
    assert inside == kept
    run = platform.launch({})
    assert platform.wait(run, RUN_SECONDS) == "SUCCESS", platform.messages(run)[-5:]

    made = do(platform, "backup", str(second))
    assert made.returncode == 0, made.stdout + made.stderr
    upkeep(new, "restore", str(second))
    try:
        new.up()
        assert predictions(new, DEFAULT_VERSION) == predicted
        assert {*new.artifacts(), *new.assets()} > kept
    finally:
        new.down()
    see("local stack → containers → local stack", f"{len(kept)} objects, the champion, predictions")
