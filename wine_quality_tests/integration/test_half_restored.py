"""Containers over a platform whose restore is half done."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack.settings import FOLDER
from wine_quality.upkeep.backup import back_up
from wine_quality.upkeep.restore import restore, verify
from wine_quality_tests.integration.test_history_restore import interrupted, rename_databases
from wine_quality_tests.support.history_platform import HistoryPlatform, platform_on
from wine_quality_tests.support.servers import free_port

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("script", ["health", "await.py"])
def test_no_container_starts_over_a_half_restored_platform(postgres, tmp_path, monkeypatch, script):
    """They do not see the folder that keeps `make stack` from it."""
    old, new = (platform_on(postgres, tmp_path / name) for name in ("old", "new"))
    old.upgrade()
    back_up(old, tmp_path / "backup", print)
    rename_databases(tmp_path / "backup", old, new)
    manifest = verify(tmp_path / "backup")
    assert waiting_for(new, script) == ""
    monkeypatch.setattr("wine_quality.upkeep.restore.swap", interrupted)
    with pytest.raises(KeyboardInterrupt):
        restore(new, tmp_path / "backup", manifest, False, print)
    monkeypatch.undo()
    folder = tmp_path / "backup"
    expected = f"A restore from {folder} is half done; run the same `make restore` again.\n"
    assert waiting_for(new, script) == expected
    restore(new, folder, manifest, False, print)
    assert waiting_for(new, script) == ""


def waiting_for(platform: HistoryPlatform, script: str) -> str:
    """The sentence of what a container waits for; empty when the container starts."""
    role = platform.settings["DAGSTER_POSTGRES_USER"]
    given = {"HOST": "127.0.0.1", "PORT": platform.postgres_port, "DB": role}
    given |= {"USER": role, "PASSWORD": role}
    prefixes = {"health": ("DAGSTER_POSTGRES",), "await.py": ("POSTGRES", "MLFLOW_POSTGRES")}
    variables = {f"{start}_{k}": str(v) for start in prefixes[script] for k, v in given.items()}
    # The bucket comes after the databases; nobody answers there.
    variables |= {"MLFLOW_BUCKET": "m", "AWS_ENDPOINT_URL": f"http://127.0.0.1:{free_port()}"}
    variables |= {f"AWS_{name}": "x" for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY")}
    variables["AWS_DEFAULT_REGION"] = "us-east-1"
    commands = {
        "health": ["-m", "wine_quality.stack.health", "stores"],
        "await.py": [str(FOLDER / "mlflow" / "await.py")],
    }
    done = subprocess.run(
        [sys.executable, *commands[script]],
        env={"PATH": os.environ["PATH"], **variables},
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == (1 if done.stderr else 0)
    assert done.stderr.count("\n") <= 1
    return "" if done.stderr.startswith("the bucket m cannot be used: ") else done.stderr
