"""Parts of the stack by themselves: settings, ports, what is started, restarts, PostgreSQL."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from wine_quality.environments.process_groups import group_lives
from wine_quality.paths import PROJECT_ROOT
from wine_quality.stack import objects, postgres, seaweedfs, settings, supervisor
from wine_quality.stack.platform import Platform
from wine_quality.stack.service import Service
from wine_quality.stack.settings import EXAMPLE, SECRETS, StackError, read_file
from wine_quality.stack.supervisor import Supervisor
from wine_quality_tests.support.servers import await_condition, free_port
from wine_quality_tests.support.warm_commands import forked_command


@pytest.fixture(autouse=True)
def _nothing_configured(monkeypatch, home):
    """Neither variables of the example nor the machine's own ``.env`` count here."""
    for name in read_file(EXAMPLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("WINE_QUALITY_ENV_FILE", str(EXAMPLE))
    home.mkdir(parents=True)


def test_the_environment_wins_over_the_file(monkeypatch):
    assert settings.read_settings()["DAGSTER_PORT"] == "5000"
    monkeypatch.setenv("DAGSTER_PORT", "6000")
    assert settings.read_settings()["DAGSTER_PORT"] == "6000"


@pytest.mark.parametrize("line", ["A = 1", "A='1'", "export A=1", "A=$B", "A"])
def test_a_line_that_compose_would_read_otherwise_is_refused(tmp_path, line):
    (tmp_path / ".env").write_text(f"# fine\nB=2\n{line}\n")
    with pytest.raises(StackError, match=r"\.env:3: not NAME=value"):
        read_file(tmp_path / ".env")


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.5", "example.org", "::"])
def test_demo_secrets_stay_on_this_machine(monkeypatch, address):
    monkeypatch.setenv("BIND_ADDRESS", address)
    with pytest.raises(StackError, match=r"POSTGRES_PASSWORD.*make stack-env"):
        settings.read_settings()


def test_random_secrets_may_be_reached_from_elsewhere(monkeypatch, tmp_path):
    file = tmp_path / ".env"
    settings.write_env_file(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    monkeypatch.setenv("WINE_QUALITY_ENV_FILE", str(file))
    monkeypatch.setenv("BIND_ADDRESS", "0.0.0.0")
    monkeypatch.setenv("PROXY_TLS", "internal")
    made, example = settings.read_settings(), read_file(EXAMPLE)
    assert set(made) == set(example)
    assert all(made[name] != example[name] and len(made[name]) == 32 for name in SECRETS)
    assert len({made[name] for name in SECRETS}) == len(SECRETS)
    assert made["AWS_SECRET_ACCESS_KEY"] == made["MINIO_ROOT_PASSWORD"]
    with pytest.raises(StackError, match="is there already"):
        settings.write_env_file(file)


def test_a_taken_port_is_passed_over():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port, other = taken.getsockname()[1], free_port()
        assert settings.choose_port("127.0.0.1", port, other) == other
        assert settings.choose_port("127.0.0.1", port) != port
    assert settings.choose_port("127.0.0.1", port) == port


def test_two_that_start_at_once_choose_different_ports():
    """Neither listens yet."""
    port = free_port()
    code = (
        "import sys\n"
        "from wine_quality.stack.settings import choose_port\n"
        f"print(choose_port('127.0.0.1', {port}), flush=True)\n"
        "sys.stdin.read()\n"
    )
    command = forked_command("-c", code)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, text=True, cwd=PROJECT_ROOT, **pipes) as other:
        assert other.stdout.readline() == f"{port}\n"
        assert settings.choose_port("127.0.0.1", port) != port
        other.stdin.close()
    assert settings.choose_port("127.0.0.1", port) == port
    # Once more where it is wanted, and never for another service.
    assert settings.choose_port("127.0.0.1", port) == port
    assert len({settings.choose_port("127.0.0.1") for _ in range(200)}) == 200


def test_existing_servers_are_used_instead(monkeypatch):
    monkeypatch.setenv("POSTGRES_HOST", "db.example.org")
    monkeypatch.setenv("POSTGRES_PORT", "6543")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "https://s3.example.org")
    monkeypatch.setenv("WINE_QUALITY_MLFLOW_URI_3", "https://mlflow.example.org")
    platform = Platform(["3"], settings.read_settings())
    services = {service.name: service for service in platform.services}
    assert list(services) == ["buckets", "dagster-code", "dagster-webserver", "dagster-daemon"]
    assert services["buckets"].variables["AWS_ENDPOINT_URL"] == "https://s3.example.org"
    code = services["dagster-code"].variables
    assert code["DAGSTER_POSTGRES_HOST"] == "db.example.org"
    assert code["DAGSTER_POSTGRES_PORT"] == "6543"
    assert code["WINE_QUALITY_ASSETS_ENDPOINT"] == "https://s3.example.org"
    assert code["WINE_QUALITY_MLFLOW_URI_3"] == "https://mlflow.example.org"
    assert code["MLFLOW_TRACKING_URI"] == "https://mlflow.example.org"
    assert "@db.example.org:6543/metrics" in code["WINE_QUALITY_METRICS_URL"]


def test_a_minio_binary_is_used_where_there_is_one(monkeypatch, tmp_path):
    """Its command line only: the binary cannot be had where this was built."""
    minio = tmp_path / "minio"
    minio.write_text("#!/bin/sh\n")
    minio.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("POSTGRES_HOST", "db.example.org")
    services = {s.name: s for s in Platform(["3"], settings.read_settings()).services}
    assert services["s3"].command[:2] == (str(minio), "server")
    assert services["s3"].variables["MINIO_ROOT_USER"] == "minioadmin"
    # MinIO knows its first user only.
    assert services["dagster-code"].variables["WINE_QUALITY_ASSETS_KEY"] == "minioadmin"


def test_a_service_that_keeps_dying_is_given_up(monkeypatch, tmp_path):
    monkeypatch.setattr(supervisor, "RESTARTS", 1)
    messages: list[str] = []
    code = "print('no such table'); raise SystemExit(3)"
    service = Service(
        "broken", (sys.executable, "-c", code), dict(os.environ), tmp_path, lambda: False
    )
    watched = Supervisor([service], tmp_path, messages.append, {})
    try:
        with pytest.raises(StackError, match=r"(?s)broken does not stay up.*no such table"):
            watched.start()
    finally:
        watched.stop()
    assert messages == [
        "broken exited with 3; it is started again in 0.5 s",
        f"broken exited with 3; it died 2 times and is given up. See {watched.log_of('broken')}",
    ]


def test_what_ignores_its_signal_is_killed_with_its_children(monkeypatch, tmp_path):
    code = (
        "import signal, subprocess, sys, time\n"
        "signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
        "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "open('up', 'w').close(); time.sleep(600)"
    )
    service = Service(
        "stubborn",
        (sys.executable, "-c", code),
        dict(os.environ),
        tmp_path,
        (tmp_path / "up").exists,
    )
    monkeypatch.setattr("wine_quality.stack.processes.GRACE_SECONDS", 0.5)
    watched = Supervisor([service], tmp_path, lambda line: None, {})
    watched.start()
    [(group, number)] = supervisor.groups_in(watched.state())
    assert number == signal.SIGTERM
    watched.stop()
    await_condition(lambda: not group_lives(group), "the group to end", 10)


@pytest.mark.slow
@pytest.mark.parametrize("binaries", ["packaged", "of the machine"])
def test_postgres_in_a_folder_that_only_its_owner_enters(monkeypatch, tmp_path, binaries, request):
    """As in root's home: the data and the socket go where the other user gets to."""
    if binaries == "of the machine":
        if not postgres._of_this_machine():
            pytest.skip("no PostgreSQL is installed on this machine")
        found = postgres._of_this_machine()[0]
        monkeypatch.setenv("WINE_QUALITY_POSTGRES_BIN", str(found))
    reachable = Path(tempfile.mkdtemp(prefix="wine-quality-reachable-"))
    reachable.chmod(0o755)
    request.addfinalizer(lambda: shutil.rmtree(reachable))
    monkeypatch.setattr(postgres, "_REACHABLE", reachable)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    values = settings.read_settings()
    server = postgres.PostgresServer(closed / "postgres", values, free_port())
    watched = Supervisor(server.services(), tmp_path, lambda line: None, {})
    try:
        server.prepare()
        watched.start()
        assert (reachable in server.data.parents) == (os.geteuid() == 0)
        listed = subprocess.run(
            [str(server.bin / "psql"), "-h", str(server.sockets), "-p", str(server.port)]
            + ["-U", "postgres", "-At", "-c", "SELECT datname FROM pg_database ORDER BY 1"],
            capture_output=True,
            text=True,
            env={**os.environ, "LC_ALL": "C"},
            timeout=30,
        )
        wanted = {"dagster", "mlflow_1_26", "mlflow_2_1_1", "mlflow_3", "metrics"}
        assert wanted <= set(listed.stdout.split()), listed.stderr
        assert not any(values["DAGSTER_POSTGRES_PASSWORD"] in text for text in _passwords(watched))
    finally:
        watched.stop()
        server.close()


def _passwords(watched: Supervisor) -> list[str]:
    """Lines of the server's log that speak of passwords."""
    lines = watched.log_of("postgres").read_text().splitlines()
    return [line for line in lines if "PASSWORD" in line.upper()]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("POSTGRES_PASSWORD=", "has no value for POSTGRES_PASSWORD: set it, or make random ones"),
        ("AWS_SECRET_ACCESS_KEY=", "has no value for AWS_SECRET_ACCESS_KEY"),
        ("DAGSTER_PORT=http", "DAGSTER_PORT is 'http'; a port is a number from 1 to 65535"),
        ("MINIO_PORT=65536", "MINIO_PORT is '65536'; a port"),
        ("POSTGRES_PORT=0", "POSTGRES_PORT is '0'; a port"),
        ("MLFLOW_3_PORT=-1", "MLFLOW_3_PORT is '-1'; a port"),
        ("MLFLOW_3_PORT=", "MLFLOW_3_PORT is ''; a port"),
    ],
)
def test_a_setting_that_cannot_work_is_named(tmp_path, monkeypatch, line, expected):
    file = tmp_path / ".env"
    file.write_text(f"{line}\n")
    monkeypatch.setenv("WINE_QUALITY_ENV_FILE", str(file))
    with pytest.raises(StackError, match=expected):
        settings.read_settings()


def s3_of(home: Path, **other: str) -> Service:
    given = {**read_file(EXAMPLE), **other}
    return objects.store_service(home / "stack" / "s3", given, 9000, 9001)


def test_a_store_that_is_not_known_is_named(home, monkeypatch):
    monkeypatch.setenv("WINE_QUALITY_STORE", "ceph")
    with pytest.raises(StackError, match="is 'ceph'; there are nanio, minio, seaweedfs"):
        s3_of(home)


def test_objects_of_another_store_are_not_lost_sight_of(home, monkeypatch):
    """A stack whose store was changed would begin with empty buckets."""
    monkeypatch.setenv("WINE_QUALITY_STORE", "nanio")
    assert "wine_quality.stack.store:build" in s3_of(home).command
    data = home / "stack" / "s3" / "data"
    (data / "mlflowbucket").mkdir()
    monkeypatch.setenv("WINE_QUALITY_STORE", "seaweedfs")
    with pytest.raises(
        StackError, match=f"the objects are in {data}, of another store.*make renew"
    ):
        s3_of(home)


def test_seaweedfs_limits_each_user_to_a_bucket():
    own = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    listed = seaweedfs.identities({**read_file(EXAMPLE), **own})["identities"]
    actions = {one["name"]: one["actions"] for one in listed}
    assert set(actions) == {"root", "mlflow", "assets"}
    assert "Admin" in actions["root"]
    assert {action.partition(":")[2] for action in actions["mlflow"]} == {"mlflowbucket"}
    assert {action.partition(":")[2] for action in actions["assets"]} == {"assetsbucket"}
    assert not [action for action in actions["assets"] if action.startswith("Admin")]
