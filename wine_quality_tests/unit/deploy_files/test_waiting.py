"""Containers wait for what they need themselves: podman before 4.6 starts them in any order."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from wine_quality.stack.health import main as health
from wine_quality.stack.settings import FOLDER
from wine_quality_tests.support.servers import free_port
from wine_quality_tests.unit.deploy_files.test_compose import TASKS, compose_file

# It makes its files, or asks for what it needs at each request.
WAITS_FOR_NOTHING = {"postgres", "minio"}


def test_each_service_waits_itself():
    services = compose_file()["services"]
    for name, service in services.items():
        waits = "AWAIT" in service.get("environment", {}) or name == "buckets"
        assert waits == (name not in WAITS_FOR_NOTHING), name
        if "AWAIT" in service.get("environment", {}):
            assert service["entrypoint"][:2] == ["/bin/sh", "/opt/with-secrets.sh"], name


def test_tasks_depend_on_nothing():
    """podman 4.3 starts nothing that depends on an ended container which depends on a running one:
    "depends on container … not found in input list"."""
    services = compose_file()["services"]
    assert {name: services[name].get("depends_on", {}) for name in TASKS} == dict.fromkeys(
        TASKS, {}
    )


def test_no_tmpfs_needs_a_mode():
    """runc 1.1.5 loses it under a read-only root; the image's own folder in a volume keeps its."""
    services = compose_file()["services"]
    tmpfs = {place for service in services.values() for place in service["tmpfs"]}
    assert not [place for place in tmpfs if ":" in place]
    assert "postgres-socket:/run/postgresql" in services["postgres"]["volumes"]


def start(folder: Path, check: str, tries: int = 120) -> subprocess.CompletedProcess[str]:
    """A program that with-secrets.sh starts, with less time between the tries."""
    script = folder / "with-secrets.sh"
    text = (FOLDER / "with-secrets.sh").read_text().replace("sleep 1", "sleep 0.01")
    script.write_text(text.replace("-ge 120", f"-ge {tries}"))
    program = "import os; print(os.environ.get('AWAIT', 'started'))"
    return subprocess.run(
        ["sh", str(script), sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={"PATH": os.environ["PATH"], "AWAIT": check},
        timeout=60,
    )


def test_a_program_starts_when_its_check_succeeds(tmp_path):
    check = tmp_path / "check"
    # It succeeds the third time.
    check.write_text(f"echo x >> {tmp_path}/calls\ntest $(wc -l < {tmp_path}/calls) -eq 3\n")
    done = start(tmp_path, f"sh {check}")
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")
    assert (tmp_path / "calls").read_text() == "x\n" * 3


def test_it_says_what_it_has_waited_for(tmp_path):
    check = tmp_path / "check"
    check.write_text("echo more; echo 'no such role: dagster'; exit 1\n")
    done = start(tmp_path, f"sh {check}", tries=3)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (f'Not started: "sh {check}" has failed 3 times. no such role: dagster\n')


@pytest.mark.parametrize("script", ["health", "await.py"])
def test_a_database_that_is_not_there(monkeypatch, capsys, script):
    """One line says so, without the password."""
    given = {"HOST": "127.0.0.1", "PORT": str(free_port()), "DB": "d", "USER": "u"}
    given["PASSWORD"] = "s3cret"
    if script == "health":
        for name, value in given.items():
            monkeypatch.setenv(f"DAGSTER_POSTGRES_{name}", value)
        monkeypatch.setattr(sys, "argv", ["health", "stores"])
        assert health() == 1
        output = capsys.readouterr().err
    else:
        mlflow = {f"MLFLOW_POSTGRES_{name}": given[name] for name in ("DB", "USER", "PASSWORD")}
        postgres = {f"POSTGRES_{name}": given[name] for name in ("HOST", "PORT")}
        done = subprocess.run(
            [sys.executable, str(FOLDER / "mlflow" / "await.py")],
            capture_output=True,
            text=True,
            env={"PATH": os.environ["PATH"], **mlflow, **postgres},
            timeout=60,
        )
        assert done.returncode == 1
        output = done.stderr.strip().rpartition("\n")[2]
    assert "s3cret" not in output and output.count("\n") <= 1


def test_the_store_may_start_later(tmp_path):
    """buckets.sh asks again until the first bucket is made."""
    mc = tmp_path / "mc"
    mc.write_text(
        f'#!/bin/sh\necho "$*" >> {tmp_path}/calls\ntest $(wc -l < {tmp_path}/calls) -ge 3\n'
    )
    mc.chmod(0o755)
    names = ["ENDPOINT_URL", "DEFAULT_REGION", "ACCESS_KEY_ID", "SECRET_ACCESS_KEY"]
    variables = {f"AWS_{name}": "x" for name in names}
    variables |= {"WINE_QUALITY_ASSETS_KEY": "a", "WINE_QUALITY_ASSETS_SECRET": "b"}
    variables |= {"MINIO_ROOT_USER": "r", "MINIO_ROOT_PASSWORD": "s", "MINIO_ENDPOINT": "other"}
    variables |= {"BIND_ADDRESS": "127.0.0.1", "MLFLOW_BUCKET": "m", "ASSETS_BUCKET": "a"}
    done = subprocess.run(
        ["sh", str(FOLDER / "minio" / "buckets.sh")],
        capture_output=True,
        text=True,
        env={**variables, "PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"},
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    calls = (tmp_path / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls] == ["mlflow/m"] * 3 + ["assets/a"]
